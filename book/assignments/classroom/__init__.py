"""What the commands of `course.py` do, a module for each concept.

`assignments` knows the masters, `building` makes what students and graders get. `submissions` finds and reads what was
handed in, `isolation` (by `landlock`) and `inside` keep and run one submission, `grading` runs them all, `gradebook`
keeps the rows. `by_hand`, `feedback` and `platforms` are for what comes after: points by a person, pages, the
platform's own file. `tables` reads and writes CSV files as spreadsheets do, `pages` has what all pages share.
"""
