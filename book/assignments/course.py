"""The course in three commands: build what students, graders and lecturers need, rehearse, grade a batch.

    python book/assignments/course.py build           # from the masters hw1.md to hw4.md into dist/
    python book/assignments/course.py solve           # the solutions as submissions, for a rehearsal
    python book/assignments/course.py grade FOLDER    # submissions in FOLDER/hw1 to FOLDER/hw4 -> grades.csv

Three more are for what follows: `answers` shows all answers to a written question on one page, `report` adds the points
by hand and writes a page for each student and the statistics, `export` puts the grades into the file that Moodle or
Canvas exported.

`dist/` holds `student/hwN.ipynb`, one file that runs in JupyterLab, Binder and Colab; `autograder/hwN.zip`, for this
script, `otter run`, `otter grade` and Gradescope; and `instructor/hwN.ipynb`, the solutions. All but `student/` stays
with the lecturer. The masters are public. The numbers of the hidden tests are not: they are drawn from the offering,
a random number unless it is given.

How isolated grading is: a submission runs as you, in a process of its own, with limits of time and memory, in a
temporary folder that is its home, with a Python environment of its own. On Linux 5.13 or newer it can neither write
outside of this folder nor read your files, other submissions among them; elsewhere it is kept from accidents only.
It can use the network, and whoever wants to can raise the own score, because the tests run where the submission does.
For classes that you do not trust let otter grade in containers (Docker; the first call builds the image, which needs
the network and takes minutes):

    otter grade -n hw1 -a book/assignments/dist/autograder/hw1.zip --timeout 300 --no-network FOLDER/hw1
"""

import argparse
import os
import signal
import sys

from classroom.assignments import DIST, masters
from classroom.building import build, solve
from classroom.by_hand import answers
from classroom.feedback import report
from classroom.grading import grade
from classroom.platforms import export

PATHS = {"folder", "grades", "file", "output", "built"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="{build,solve,grade,answers,report,export}")

    def command(do):
        made = commands.add_parser(do.__name__, help=do.__doc__.replace("%", "%%"), description=do.__doc__)
        made.set_defaults(do=do)
        return made

    building = command(build)
    building.add_argument("--offering", type=int, help="from which the hidden numbers are drawn (default: random)")
    building.add_argument("--output", default=DIST, help="(default: %(default)s)")
    solving = command(solve)
    solving.add_argument("--output", help="(default: submissions in the folder of the built course)")
    grading = command(grade)
    grading.add_argument("--resume", action="store_true", help="keep the rows of files that have not changed")
    grading.add_argument("--jobs", type=int, help="how many at a time (default: one for each core)")
    grading.add_argument("--timeout", type=float, default=300, help="seconds for a submission (default: %(default)s)")
    grading.add_argument("--memory", type=float, default=2000, help="MB for a submission (default: %(default)s)")
    grading.add_argument("--output", default="grades.csv", help="(default: %(default)s)")
    answering = command(answers)
    answering.add_argument("--output", default="answers", help="a folder (default: %(default)s)")
    for reader in (grading, answering):
        reader.add_argument("folder", help="holds hw1/ to hw4/; with --assignment the submissions, as files or zip")
        reader.add_argument("--assignment", choices=masters(), help="what the submissions in FOLDER are for")
    for reader in (solving, grading, answering):
        reader.add_argument("--built", default=DIST, help="where the built course is (default: %(default)s)")
    reporting = command(report)
    reporting.add_argument("--output", help="a folder (default: beside the grades)")
    exporting = command(export)
    for reader in (reporting, exporting):
        reader.add_argument("grades", help="the CSV that `grade` wrote")
    exporting.add_argument("file", help="Moodle's grading worksheet or Canvas' gradebook, as exported (CSV)")
    exporting.add_argument("--assignment", choices=masters(), help="which grades, if the CSV has several assignments")
    exporting.add_argument("--column", help="where the grades go (default: found by its name)")
    exporting.add_argument("--machine", action="store_true", help="the points by machine in place of the total")
    exporting.add_argument("--output", help="(default: a new file beside FILE)")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names of files may hold what the terminal cannot show
    for name in ("SIGTERM", "SIGHUP"):  # ended in another way than by Ctrl-C, with the same care
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)
    arguments = vars(parser.parse_args())
    for name in PATHS & arguments.keys():  # PowerShell passes ~ on as it is
        arguments[name] = arguments[name] and os.path.expanduser(arguments[name])
    try:
        arguments.pop("do")(**arguments)
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
