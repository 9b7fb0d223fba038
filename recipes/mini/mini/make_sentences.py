"""Makes data/sentences.txt.gz: real English that is none of mini's skills, drawn from documentation.

usage: apt-get download jargon-text=4.4.7-4.1          (Debian 12; the Jargon File 4.4.7 is in the public domain)
       python -m mini.make_sentences jargon-text_4.4.7-4.1_all.deb

Sources beside it: the documentation strings of the standard library of Python 3.11 (PSF licence) and of the packages in
requirements.txt: numpy (BSD), torch (BSD), transformers (Apache-2.0). Single sentences and short noun phrases only.
The file: a line a sentence, an empty line, a line a phrase.
"""

import gzip
import hashlib
import io
import re
import subprocess
import sys
import sysconfig
import tarfile
import zlib
from pathlib import Path

DEB_SHA256 = "17d05997e30eb3d5d6713929b8e2f81b63a5f50073858ad2a06701c71f54dcdb"
PATH = Path(__file__).parent / "data" / "sentences.txt.gz"
NUM_SENTENCES, NUM_PHRASES = 9000, 3000
SHARE_JARGON = 0.5
UNWANTED = re.compile(r"\b(sex\w*|fuck\w*|shit\w*|nazi\w*|hitler|damn\w*|hell|bitch\w*|rape\w*|drug\w*|whore\w*|crap\w*|piss\w*|ass|god|religio\w*|jew\w*|black|idiot\w*|suck\w*|dick\w*|penis|porn\w*|kill\w*|suicid\w*"
                      r"|gay|lesbian|slut\w*|racis\w*|cock|bastard\w*|murder\w*|retard\w*|fag\w*|dead|death|drunk\w*|bomb\w*|terror\w*|urin\w*|obscen\w*|erotic\w*)\b", re.I)
LISTED = frozenset("the a an of to in and is that it for on as are with be by this or from was at not".split())


def jargon(deb: Path) -> str:
    """The text of the Jargon File from its Debian package."""
    if hashlib.sha256(deb.read_bytes()).hexdigest() != DEB_SHA256:
        sys.exit(f"{deb}: not jargon-text 4.4.7-4.1 (SHA-256 differs)")
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as files:
        member = files.extractfile("./usr/share/doc/jargon-text/jargon.txt.gz")
        return gzip.decompress(member.read()).decode("utf-8")


def docstrings() -> str:
    """The prose in the sources of the standard library and of three packages."""
    roots = [Path(sysconfig.get_path("stdlib")), *(Path(sysconfig.get_path("purelib")) / name for name in ("numpy", "torch", "transformers"))]
    parts = []
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            if "site-packages" in path.relative_to(root).parts or "test" in str(path.relative_to(root)):
                continue
            text = path.read_text("utf-8", "ignore")
            parts += re.findall(r'"""(.*?)"""', text, re.S)
            parts.append("\n".join(re.findall(r"^\s*# (.*)$", text, re.M)) if root is roots[0] else "")
    return "\n\n".join(parts)


def sentences(text: str) -> list[str]:
    """What reads like one plain English sentence, different ones by their first three words."""
    text = text.translate(str.maketrans("‘’“”–—", "''\"\"--"))
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", text):
        flat = " ".join(paragraph.split())
        for sentence in re.split(r"(?<=[.?!]) (?=[A-Z])", flat):
            words = sentence.split()
            if not (30 <= len(sentence) <= 150 and len(words) >= 6 and sentence[0].isupper() and sentence[-1] in ".?!"):
                continue
            if not sentence.isascii() or re.search(r"[{}\[\]`<>|\\=_*#@~^\"]|\w\.\w|/|  ", sentence) or UNWANTED.search(sentence):
                continue
            plain = [word for word in words if re.fullmatch(r"[A-Za-z][a-z'-]*[,.;:?!]?", word)]
            if len(plain) < 0.9 * len(words) or not LISTED & {word.lower() for word in words}:
                continue
            found.setdefault(" ".join(words[:3]).lower(), sentence)
    return list(found.values())


def phrases(text: str) -> list[str]:
    found = re.findall(r"\bthe ([a-z]{4,} [a-z]{4,})(?= (?:is|was|of|that|and|to|in)\b)", text)
    found += re.findall(r"^\s*:([A-Za-z][a-z]+(?: [a-z]+)?):", text, re.M)
    return [phrase for phrase in dict.fromkeys(found) if not UNWANTED.search(phrase)]


def chosen(items: list[str], count: int) -> list[str]:
    """The same `count` of them on every machine."""
    return sorted(items, key=lambda item: zlib.crc32(item.encode()))[:count]


def main() -> None:
    if len(sys.argv) != 2 or sys.version_info[:2] != (3, 11):
        sys.exit("usage: python3.11 -m mini.make_sentences jargon-text_4.4.7-4.1_all.deb")
    talk, docs = jargon(Path(sys.argv[1])), docstrings()
    first = chosen(sentences(talk), int(NUM_SENTENCES * SHARE_JARGON))
    second = chosen(sentences(docs), NUM_SENTENCES - len(first))
    names = chosen(phrases(talk), NUM_PHRASES // 2) + chosen(phrases(docs), NUM_PHRASES // 2)
    text = "\n".join(sorted(set(first + second))) + "\n\n" + "\n".join(sorted(set(names))) + "\n"
    PATH.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{PATH}: {len(set(first + second))} sentences, {len(set(names))} phrases, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
