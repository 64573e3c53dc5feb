// Triangles of a shape's surface: vertices of position and normal, and the corners of each triangle.

/** A profile of [radius, z, normal outwards, normal upwards] turned about the z axis. */
function lathe(profile) {
  const sectors = 24;
  const vertices = [];
  const indices = [];
  for (let sector = 0; sector <= sectors; sector++) {
    const [c, s] = [Math.cos, Math.sin].map((f) => f((2 * Math.PI * sector) / sectors));
    for (const [radius, z, out, up] of profile) {
      vertices.push(radius * c, radius * s, z, out * c, out * s, up);
    }
  }
  for (let corner = 0; corner < sectors * profile.length; corner++) {
    if (corner % profile.length === profile.length - 1) continue;
    const across = corner + profile.length;
    indices.push(corner, corner + 1, across, across, corner + 1, across + 1);
  }
  return { vertices, indices };
}

function capsule(radius, half) {
  const profile = [];
  for (const side of [-1, 1]) {
    for (let step = 0; step <= 6; step++) {
      const angle = ((step / 6 + (side - 1) / 2) * Math.PI) / 2;
      const [out, up] = [Math.cos(angle), Math.sin(angle)];
      profile.push([radius * out, radius * up + side * half, out, up]);
    }
  }
  return lathe(profile);
}

function cylinder(radius, half) {
  const disc = (side) => [[radius, side * half, 0, side], [0, side * half, 0, side]];
  const wall = [[radius, -half, 1, 0], [radius, half, 1, 0]];
  return lathe([...disc(-1).reverse(), ...wall, ...disc(1)]);
}

function box(...half) {
  const vertices = [];
  const indices = [];
  for (const axis of [0, 1, 2]) {
    for (const side of [-1, 1]) {
      const first = vertices.length / 6;
      const normal = [0, 0, 0];
      normal[axis] = side;
      for (const [u, v] of [[-1, -1], [1, -1], [-1, 1], [1, 1]]) {
        const corner = [];
        corner[axis] = side * half[axis];
        corner[(axis + 1) % 3] = u * half[(axis + 1) % 3];
        corner[(axis + 2) % 3] = v * half[(axis + 2) % 3];
        vertices.push(...corner, ...normal);
      }
      indices.push(...[0, 1, 2, 2, 1, 3].map((index) => first + index));
    }
  }
  return { vertices, indices };
}

const MESHES = { sphere: (radius) => capsule(radius, 0), capsule, cylinder, box };
