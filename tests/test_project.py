"""What stands in several files is the same in all of them."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonical(requirement.name): requirement for requirement in requirements}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def required():
    extras = PROJECT["optional-dependencies"].values()
    requirements = map(Requirement, [*PROJECT["dependencies"], *(line for extra in extras for line in extra)])
    return [requirement for requirement in requirements if requirement.name != "zimp"]


def test_constraints_are_exact_and_have_no_local_versions():
    for name, requirement in pins().items():
        assert re.fullmatch(r"==[^+*]+", str(requirement.specifier)), name


@pytest.mark.parametrize("requirement", required(), ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_to_a_version_that_pyproject_admits(requirement):
    pin = next(iter(pins()[canonical(requirement.name)].specifier))
    assert pin.version in requirement.specifier


def test_every_dependency_has_its_reason_beside_it():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for requirement in required():
        name = re.escape(requirement.name)
        assert all("#" in line for line in lines if re.search(rf'"{name}[<>=]', line)), requirement.name


@cache
def locked():
    """Of the lock, by name: the requirement and the hashes of its files."""
    blocks = re.findall(r"^(\S+==.*?)((?: \\\n    --hash=\S+)+)$", LOCK, flags=re.M)
    requirements = [(Requirement(pin), re.findall(r"--hash=(\S+)", hashes)) for pin, hashes in blocks]
    return {requirement.name: (requirement, hashes) for requirement, hashes in requirements}


def test_the_lock_has_a_hash_for_every_file_and_one_version_of_each_package():
    lines = [line for line in LOCK.splitlines() if line and not line.lstrip().startswith(("#", "--hash="))]
    assert [line.split("==")[0] for line in lines] == list(locked())
    for name, (_, hashes) in locked().items():
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in hashes), name


def test_the_lock_has_the_versions_of_the_constraints_and_besides_only_cuda():
    more = {name: requirement for name, (requirement, _) in locked().items() if name not in pins()}
    assert {name: str(locked()[name][0].specifier) for name in pins()} == {
        name: str(requirement.specifier) for name, requirement in pins().items()
    }
    for name, requirement in more.items():
        assert name.startswith(("cuda-", "nvidia-", "triton")) and 'sys_platform == "linux"' in str(requirement.marker)


def test_the_lock_has_what_builds_zimp_and_what_binder_starts():
    (builder,) = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert f'"{builder}" "notebook" | uv' in (ROOT / ".ci" / "renew").read_text(encoding="utf-8")
    assert {"setuptools", "notebook"} <= set(locked())


def test_only_jupyter_book_has_an_upper_bound():
    bounded = [r.name for r in required() if any(s.operator in ("<", "<=", "==", "~=") for s in r.specifier)]
    assert bounded == ["jupyter-book"]


def test_binder_installs_the_book_and_the_course_with_the_constraints():
    python = next(d for d in ENVIRONMENT["dependencies"] if str(d).startswith("python="))
    assert python.split("=")[1] in SpecifierSet(PROJECT["requires-python"])
    (pip,) = [d["pip"] for d in ENVIRONMENT["dependencies"] if isinstance(d, dict)]
    assert "-c constraints.txt" in pip and "-e .[book,course]" in pip
    assert any("whl/cpu" in line for line in pip), "an image with CUDA is too large for Binder"


@pytest.mark.parametrize("extra", ["book", "test"])
def test_the_readme_commands_install_their_extra_with_the_constraints(extra):
    command = re.search(rf"<!-- {extra} -->\n```sh\n(.*)\n```", README).group(1)
    assert f'pip install -c constraints.txt -e ".[{extra}]"' in command


COURSE = re.compile(r"^ *\.venv/bin/python book/assignments/course\.py (\w+)", flags=re.M)


@pytest.mark.parametrize("file", ["README.md", "book/instructors.md"])
def test_lecturers_are_told_the_three_commands_of_the_course_and_how_to_install_it(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert 'pip install -c constraints.txt -e ".[book,course]"' in text
    assert list(dict.fromkeys(COURSE.findall(text)))[:3] == ["build", "solve", "grade"]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_page_of_an_assignment_gives_the_points_of_its_master(number):
    master = (ROOT / "book" / "assignments" / f"hw{number}.md").read_text(encoding="utf-8")
    page = (ROOT / "book" / f"assignment_{number}.md").read_text(encoding="utf-8")
    questions = re.findall(r"^name: q(\d+)\npoints: (\d+)(\nmanual: true)?$", master, flags=re.M)
    rows = re.findall(r"^\| (\d+) \|.*\| (\d+) \| (machine|person) \|$", page, flags=re.M)
    assert rows == [(name, points, "person" if manual else "machine") for name, points, manual in questions]
    machine, person = (sum(int(points) for _, points, by in rows if by == who) for who in ("machine", "person"))
    assert rows and f"{machine} points by machine and {person} by a person" in page
    assert re.search(r"^# (.*)", page, flags=re.M)[0] == re.search(r"^# Assignment.*", master, flags=re.M)[0]


def test_ci_runs_the_readme_command_and_not_a_copy():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script and "pip install" not in script


def test_ci_runs_the_quick_tests_as_another_processor_would():
    assert 'run_marked CONTRIBUTING.md "other processors"' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = re.search(r"<!-- other processors -->\n```sh\n(.*)\n```", CONTRIBUTING).group(1)
    assert 'pytest -n 2 -m "not slow"' in command
    assert {"ATEN_CPU_CAPABILITY=default", "MKL_CBWR=COMPATIBLE", "ONEDNN_MAX_CPU_ISA=SSE41"} <= {*command.split()}


def test_readme_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_python_of_the_readme_runs_down_to_the_bare_trees_and_says_what_it_gives(seeded):
    alone, loop = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    names = {}
    exec(alone, names)
    zimp, layer = names["zimp"], names["torch"].nn.Linear(784, 300)
    assert f"# {zimp.critical_compression(300, 784):.2f}:" in alone
    diagram = zimp.persistence_diagram(layer.weight)
    assert f"{len(diagram)} neurons, {sum(diagram[:, 1] < 2)} deaths" in alone
    assert names["layer"].weight_mask.sum() == round(0.1 * 235_200)
    exec(loop, names)
    for name, (_, tree) in names["trees"].items():
        facts = {"kept": tree, "beta0": 1, "isolated": 0, "tree_kept": 1.0, "h0_unchanged": True}
        assert names["facts"][name] == facts
        assert int(zimp.prunable(names["model"])[name].count_nonzero()) == tree
    assert f"# {names['facts']['fc1.weight']}" in loop


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_workflows_run_actions_of_a_fixed_commit(workflow):
    """A tag can be moved to other code; it stands beside the hash for those who read."""
    for used in re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8")):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


def test_workflows_agree_on_the_commit_of_an_action():
    used = {use for workflow in WORKFLOWS for use in re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8"))}
    assert len({use.split("@")[0] for use in used}) == len(used)


MAY_WRITE = {
    ("book.yml", "deploy"): {"pages", "id-token"},
    ("book.yml", "notebooks"): {"contents"},
    ("release.yml", "publish"): {"contents"},
    ("renew.yml", "propose"): {"contents", "pull-requests"},
}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_each_job_has_the_permissions_it_needs_and_those_that_may_write_run_no_code_of_packages(workflow):
    parsed = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert parsed["permissions"] == {}
    for name, job in parsed["jobs"].items():
        granted, may_write = job["permissions"], MAY_WRITE.get((workflow.name, name), set())
        assert {scope for scope, access in granted.items() if access == "write"} == may_write, name
        assert granted.keys() - may_write <= {"contents"}, name
        steps = job["steps"]
        if may_write:
            assert not re.search("pip|python|pytest|jupyter", " ".join(step.get("run", "") for step in steps)), name
        else:  # what is installed later does not find the token in the checkout
            checkouts = [step for step in steps if "checkout@" in step.get("uses", "")]
            assert all(step["with"]["persist-credentials"] is False for step in checkouts), name


@pytest.mark.skipif(not shutil.which("bash"), reason="the runners of the workflow have bash")
@pytest.mark.parametrize("tag, changelog, said", [
    ("v{version}", "## [{version}]: now", None),
    ("v{version}.1", "## [{version}]: now", "is not v{version}"),
    ("{version}", "## [{version}]: now", "is not v{version}"),
    ("v{version}", "## [Unreleased]", "no section [{version}]"),
])  # fmt: skip
def test_a_release_starts_only_if_its_tag_is_the_version_and_the_changelog_knows_it(tmp_path, tag, changelog, said):
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))["jobs"]
    (step,) = [step for step in jobs["build"]["steps"] if step.get("name", "").startswith("The tag")]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    version = PROJECT["version"]
    (tmp_path / "CHANGELOG.md").write_text(changelog.format(version=version), encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "GITHUB_REF_NAME": tag.format(version=version)}
    run = ["bash", "-e", "-c", step["run"]]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == (said is None), done
    assert (said or "").format(version=version) in done.stdout


def test_the_changelog_knows_this_version_and_what_is_next():
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert headings[0] == "Unreleased" and PROJECT["version"] in headings


def test_a_release_makes_all_forms_and_has_what_they_need():
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "python book/forms/make.py all" in release and "python book/forms/make.py all" in README
    assert "setup-node@" in release and "playwright install" in release


def test_the_top_level_holds_what_people_and_services_look_for_there_and_nothing_else():
    """GitHub shows CHANGELOG.md from there only, and a journal wants its paper in a folder of its own."""
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("not a git checkout")
    visible = {file.split("/")[0] for file in files.stdout.splitlines() if not file.startswith(".")}
    told = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff"}
    installed = {"pyproject.toml", "constraints.txt", "requirements.lock", "environment.yml", "postBuild"}
    assert visible == {"book", "zimp", "tests", "paper"} | told | installed


def test_the_paper_cites_what_is_in_its_bibliography_as_the_book_does():
    def entries(file):
        text = (ROOT / file).read_text(encoding="utf-8")
        return dict(re.findall(r"^@\w+\{(\S+),\n(.*?)^\}", text, flags=re.M | re.S))

    paper = (ROOT / "paper" / "paper.md").read_text(encoding="utf-8")
    paper_has, book_has = entries("paper/paper.bib"), entries("book/references.bib")
    assert {*re.findall(r"@(\w+)", paper)} == {*paper_has}
    assert all(book_has.get(key, entry) == entry for key, entry in paper_has.items())
    assert len(paper_has.keys() & book_has.keys()) >= 5


def test_the_files_that_contributors_are_told_of_are_there():
    words = {word.strip(",:").rstrip("/") for word in re.findall(r"`([^`\n]+)`", CONTRIBUTING)}
    words |= set(" ".join(re.findall(r"```sh\n(.*?)```", CONTRIBUTING, flags=re.S)).split())
    files = {word for word in words if re.fullmatch(r"\.?[\w-]+(/[\w.-]+)+|[\w-]+\.\w{2,4}", word)}
    files = {file for file in files if not file.startswith((".venv", "book/_build"))}  # made by the commands
    assert {"tests/benchmarks/run.py", "zimp/plots.py", ".ci/renew", "constraints.txt", "book/_toc.yml"} <= files
    for file in files:
        assert (ROOT / file).exists(), file


def test_what_contributors_install_and_tag_is_what_pyproject_says():
    assert '-e ".[test,bench]"' in CONTRIBUTING and {"test", "bench"} <= PROJECT["optional-dependencies"].keys()
    assert f"git tag v{PROJECT['version']}" in CONTRIBUTING and f"origin main v{PROJECT['version']}" in CONTRIBUTING


def test_the_repository_address_stands_in_one_place():
    url = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("not a git checkout")
    url = url.removeprefix("https://github.com/")
    holders = [f for f in files.stdout.split() if url in (ROOT / f).read_text(encoding="utf-8", errors="ignore")]
    assert holders == ["book/_config.yml"]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]


def test_importing_zimp_and_its_topology_imports_no_torch():
    code = (
        "import sys, zimp; from zimp import topology, bounds, oracle; "
        "zimp.spanning_forest([[1.0]]); zimp.critical_compression(2, 3); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_is_there_and_has_a_docstring():
    import zimp

    for name in zimp.__all__:
        assert getattr(zimp, name).__doc__, name
    assert set(zimp.__all__) <= set(dir(zimp))
    with pytest.raises(AttributeError, match="no attribute 'spaning_forest'"):
        zimp.spaning_forest  # noqa: B018


def test_the_page_of_the_package_has_every_module_in_order_and_every_public_name_once():
    """Beside them it may show more of a module, by its full name."""
    import zimp

    page = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    shown = {}  # by module
    for kind, name in re.findall(r"^\.\. auto(\w+):: (?:zimp\b\.?)?(.*)$", page, flags=re.M):
        if kind == "module":
            shown[name] = []
        else:
            list(shown.values())[-1].append(name)
    floors = [""] + [floor for floor in shown if any(module.startswith(f"{floor}.") for module in zimp.MODULES)]
    assert {"lab", "reports"} < {*floors} and not any(shown.pop(floor) for floor in floors)
    assert list(shown) == list(zimp.MODULES)
    for module, names in zimp.MODULES.items():
        more = [name for name in shown[module] if name.startswith(f"{module}.")]
        assert sorted(shown[module]) == sorted([*names, *more]) and len({*more}) == len(more), module
    assert re.findall(r"^### `(.*)`:", page, flags=re.M) == [module.rpartition(".")[2] for module in zimp.MODULES]


def test_modules_import_only_those_below_them():
    """The order of the design; a module may import those before it."""
    import zimp

    order = list(zimp.MODULES)
    files = [path.relative_to(ROOT / "zimp").with_suffix("") for path in (ROOT / "zimp").rglob("*.py")]
    assert {".".join(file.parts) for file in files if not file.stem.startswith("__")} == {*order}
    for module in order:
        source = (ROOT / "zimp" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        for dots, name in re.findall(r"^\s*from (\.+)([\w.]+) import", source, flags=re.M):
            floor = module.rpartition(".")[0] if dots == "." else ""
            imported = f"{floor}.{name}" if floor else name
            assert order.index(imported) < order.index(module), f"{module} imports {imported}"


def test_the_floors_use_only_those_below_them():
    """One layer; a network; a checkpoint."""
    import zimp

    floors = [module.rpartition(".")[0] for module in zimp.MODULES]
    assert list(dict.fromkeys(floors)) == ["", "lab", "reports"] and floors == sorted(floors)


@pytest.mark.slow
def test_a_wheel_has_all_modules_and_its_command_runs(tmp_path):
    """In an environment that has what zimp needs, but not this checkout."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = tmp_path / "source"
    shutil.copytree(ROOT / "zimp", source / "zimp", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("_static", "results"):
        shutil.copytree(ROOT / "book" / name, source / "book" / name)
    build = [
        *pip,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    paths = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    packages = sysconfig.get_path("purelib", vars=paths)
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", packages, str(wheel)], check=True)
    libraries = Path(packages) / "libraries.pth"  # after zimp itself, which the environment has of its own
    libraries.write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    python = Path(sysconfig.get_path("scripts", vars=paths)) / Path(sys.executable).name
    code = (
        "import importlib, zimp\n"
        "for module in zimp.MODULES: importlib.import_module('zimp.' + module)\n"
        "for name in zimp.__all__: getattr(zimp, name)\n"
        "assert 'register(\"swaps\"' in zimp.play([[1.0, 2.0]], view='swaps').data\n"  # its scripts are installed
        "print(zimp.__file__)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    settings = {"cwd": tmp_path, "env": environment, "check": True, "capture_output": True, "text": True}
    assert subprocess.run([python, "-c", code], **settings).stdout.startswith(packages)
    said = subprocess.run([python, "-m", "zimp", "report", "--help"], **settings).stdout
    assert "how far it can be pruned" in said
    stored = {file.name for file in (Path(packages) / "zimp" / "results").iterdir()}
    assert stored == {file.name for file in (ROOT / "book" / "results").glob("*.json")}
