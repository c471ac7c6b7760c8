"""All answers of tests/right_answers and tests/wrong_answers, in more offerings than the tests take.

python tests/rehearsal/answers.py [OFFERINGS] prints a complaint about each wrong answer, and ends with an error if
a right one loses points or a wrong one gets full marks.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from test_answers import ASSIGNMENTS, QUESTIONS, answers

offerings, faults = range(100_000, 1_000_000, 900_000 // int((sys.argv[1:] or ["12"])[0])), 0
for name, question in QUESTIONS:
    assignment = ASSIGNMENTS[name]
    right = {"the solution": assignment.solutions[question]} | answers(name, "right")[question]
    for kind, given in (("right", right), ("wrong", answers(name, "wrong")[question])):
        for description, answer in given.items():
            said = [assignment.complaint(question, answer, offering) for offering in offerings]
            fault = any(said) if kind == "right" else not all(said)
            faults += fault
            verdict = "FAULT" if fault else kind
            print(verdict, name, question, description, "|", next(filter(None, said), ""), flush=True)
sys.exit(f"{faults} faults" if faults else 0)
