"""Results as CSV, as LaTeX and as values of JSON."""

import csv
import io

from hmrl_cli.report.comparison import compare
from hmrl_cli.report.formats import csv_text, finite, latex
from tests.storage.documents import document, run


def test_csv_has_a_column_for_each_number(tmp_path):
    rows = compare([run(tmp_path, 'a,"b"', document()), run(tmp_path, "c\x1b[2J", document())])["rows"]
    text = csv_text(rows)
    read = list(csv.DictReader(io.StringIO(text)))
    assert [row["run"] for row in read] == ['a,"b"', "c\ufffd[2J"] and "\x1b" not in text
    success = rows[0]["numbers"]["success"]
    assert [float(read[0][f"success{end}"]) for end in ("", "_low", "_high")] == list(success.values())
    assert float(read[0]["flat"]) == -5.0 and read[0]["fraction"] == "0.0" and "numbers" not in read[0]
    assert {row["family"] for row in read} == {"toy"}


def test_latex_is_a_tabular_of_booktabs():
    rows = [
        {"run": "[red]_50%", "split": "test", "reward": "sparse", "return": "-42.50 [-50.00, -3.00]"},
        {"run": r"a\b & {c}", "split": "test", "reward": "sparse", "return": "+1.00 [0.00, 2.00]"},
    ]
    assert latex("family point", rows, ("run", "split")).splitlines() == [
        "% family point",
        "% in every row: reward sparse",
        r"\begin{tabular}{llr}",
        r"\toprule",
        r"run & split & return \\",
        r"\midrule",
        r"{[}red]\_50\% & test & $-42.50$ $[-50.00, -3.00]$ \\",
        r"a\textbackslash{}b \& \{c\} & test & $+1.00$ $[0.00, 2.00]$ \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_json_has_null_for_what_is_no_number():
    found = finite({"a": [1.0, float("nan")], "b": (float("inf"), "nan", None, 2)})
    assert found == {"a": [1.0, None], "b": [None, "nan", None, 2]}
