# What the studies that are suites have in common: run the suite of the study's name, then keep what the study shows.
# Started again, it goes on where it stopped.
here=$(dirname "$0")
name=$(basename "$(cd "$here" && pwd)")
out=${1:-runs/$name}

hmrl suite run "$here/../../suites/$name.toml" --out "$out" -j 2
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
