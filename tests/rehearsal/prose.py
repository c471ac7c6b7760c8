"""Count what makes a page hard to read: a help for who writes, and no gate.

    python tests/rehearsal/prose.py [PAGE ...]

Of each page: words (captions counted; proofs, answers, solutions and questions set aside, since a reader chooses to
open them and meets one at a time), sentences, the share of sentences with a bracket, paragraphs with three or more
measured values (glue, or a plus-minus), "for" that may stand for "because", statements that no paragraph leads up to,
figures and tables without a caption, descriptions of pictures above 40 words, captions above 60. Mathematics, code and
roles are no words; the counts of "for" and of brackets are guesses to be looked at: --list prints what they have found.
"""

import argparse
import ast
import re
from pathlib import Path

import jupytext
import yaml

BOOK = Path(__file__).parents[2] / "book"
FOLDED = r"^(`{3,})\{(?:dropdown|solution|question)\}.*?^\1$|^`+\{solution-start\}.*?^`+\{solution-end\}\n`+"
BECAUSE = re.compile(r"[,;] for (?:it|they|there|we|you|its|(?:the |a )?\w+ (?:is|are|has|have|does|do)) ")
STATEMENT = r"^`{3,}\{prf:(?:theorem|lemma|definition|algorithm)\}"


def main():
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [page["file"] for part in toc["parts"][:4] for page in part["chapters"]]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="*", default=chapters, metavar="PAGE")
    parser.add_argument("--list", action="store_true", help="print the sentences and paragraphs that are counted")
    options = parser.parse_args()
    print(f"{'page':24}" + "".join(f"{name:>11}" for name in count("", [])[0]))
    for page in options.pages:
        text = (BOOK / f"{page}.md").read_text(encoding="utf-8")
        counts, found = count(text, jupytext.reads(unfolded(text), "md:myst").cells)
        print(f"{page:24}" + "".join(f"{value:>11}" for value in counts.values()))
        for kind, places in found.items() if options.list else ():
            for place in places:
                print(f"    {kind}: {' '.join(place.split())[:150]}")


def count(text, cells):
    """The counts of a page by name, and by name the places that were counted."""
    paragraphs = [block for block in prose(unfolded(text)) if block]
    sentences = [
        s for block in paragraphs for s in re.split(r"(?<=[.?!])\s+(?=[A-Z*])", plain(block)) if len(s.split()) > 2
    ]
    code = [cell for cell in cells if cell.cell_type == "code"]
    captions, alts = [], []
    for cell in code:
        captions += (
            [cell.metadata["mystnb"]["figure"]["caption"]] if "figure" in cell.metadata.get("mystnb", {}) else []
        )
        alts += descriptions(cell.source)
    shown = [
        cell.source for cell in code if re.search(r"^plots\.(show|table)\(|^zimp\.explorer", cell.source, flags=re.M)
    ]
    found = {
        "bracket": [s for s in sentences if re.search(r"\((?![a-z]\))", s)],
        "values": [b for b in paragraphs if len(re.findall(r"\{glue:[^`]*`[^`]*`(?: ?±)?|±|\\pm", b)) >= 3],
        "for": [s for s in sentences if BECAUSE.search(s)],
        "bare": re.findall(r"^#[^\n]*\n+(?:\([\w-]+\)=\n+)?" + STATEMENT[1:] + r"[^\n]*", text, flags=re.M),
        "caption": [s for s in shown if "zimp.explorer" not in s][len(captions) :],
        "alt>40": [alt for alt in alts if len(alt.split()) > 40],
        "cap>60": [caption for caption in captions if len(plain(caption).split()) > 60],
    }
    words = sum(len(plain(block).split()) for block in [*paragraphs, *captions])
    share = f"{len(found['bracket']) / len(sentences):.1%}" if sentences else "-"
    counts = {"words": words, "sentences": len(sentences), "brackets": share}
    return counts | {kind: len(places) for kind, places in found.items() if kind != "bracket"}, found


def unfolded(text):
    """A page without its proofs, answers, solutions and questions."""
    return re.sub(FOLDED, "\n", text, flags=re.M | re.S)


def prose(text):
    """The paragraphs, list items and statements of a page, without its code, its options and its tables."""
    text = re.sub(r"\A---.*?^---$", "", text, flags=re.M | re.S)
    text = re.sub(r"^(`{3,}) ?(?:\{code-cell\}|\w).*?^\1$", "\n", text, flags=re.M | re.S)
    text = re.sub(r"^\s*(?:[`:]{3,}.*|:\w[\w-]*:.*|#.*|\(.*\)=|\|.*|%.*)$", "\n", text, flags=re.M)
    return [block.strip() for block in re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.) )", text)]


def plain(block):
    """A paragraph as it is read: mathematics and values as one word, roles by their text, links by their words."""
    block = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", "X", block, flags=re.S)
    block = re.sub(r"\{cite[^}]*\}`[^`]*`", "", block)
    block = re.sub(r"\{[\w:-]+\}`(?:([^`<]*)<[^`]*>|([^`]*))`", lambda m: (m[1] or m[2]).strip(), block)
    block = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", block)
    return " ".join(re.sub(r"`[^`]*`", "X", block).split())


def descriptions(source):
    """The descriptions of pictures that a cell writes out."""
    with_magic = re.sub(r"^[%!].*", "", source, flags=re.M)
    calls = [node for node in ast.walk(ast.parse(with_magic)) if isinstance(node, ast.Call)]
    shows = [call for call in calls if ast.unparse(call.func) == "plots.show" and len(call.args) > 1]
    return [call.args[1].value for call in shows if isinstance(call.args[1], ast.Constant)]


if __name__ == "__main__":
    main()
