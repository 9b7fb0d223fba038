"""The generators: same seed, same samples; splits apart; every reply passes its own check; written steps are right."""

import json
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mini.data import arithmetic, code
from mini.draw import Draw, in_held_range
from mini.encode import Encoder
from mini.judge import judge
from mini.mixture import SKILLS, stream

SAMPLES_A_KIND = 120
SLOW = {("code", "mend")}  # judged by running a process


def samples(split: str, count: int):
    for skill, kinds in SKILLS.items():
        for kind, (_, make) in kinds.items():
            for index in range(12 if (skill, kind) in SLOW else count):
                yield skill, kind, make(Draw(f"data {index}", split, (index % 9) / 8))


class Data(unittest.TestCase):
    def test_streams_repeat(self):
        for progress in (0.0, 0.5, 1.0):
            one, two = (stream(3, 1, progress) for _ in range(2))
            other = stream(3, 2, progress)
            same = 0
            for _ in range(200):
                a, b, c = next(one), next(two), next(other)
                self.assertEqual(a.ids.tolist(), b.ids.tolist())
                self.assertTrue(all((x == y).all() for x, y in zip(a.images, b.images)))
                same += a.ids.tolist() == c.ids.tolist()
            self.assertLess(same, 5)

    def test_replies_pass_their_checks(self):
        for split in ("train", "held_out"):
            for skill, kind, sample in samples(split, SAMPLES_A_KIND):
                reply = sample.reply
                self.assertTrue(judge(sample.check, reply.content, reply.thinking, reply.tool_calls), (skill, kind, sample.request, reply, sample.check))
                self.assertEqual(reply.thinking is not None, sample.effort == "high")
                self.assertEqual(sample.request["reasoning_effort"], sample.effort)
                self.assertFalse(reply.content.endswith(" "))
                self.assertTrue(reply.content or reply.tool_calls)

    def test_wrong_replies_fail(self):
        for skill, kind, sample in samples("train", 20):
            self.assertFalse(judge(sample.check, "banana nonsense", None, ()), (skill, kind, sample.check))

    def test_shares_of_tokens(self):
        count, by_skill, lost = 0, {}, 0
        for index, encoded in enumerate(stream(5, 0, 1.0)):
            count += len(encoded.ids)
            lost += int(encoded.loss.sum())
            by_skill[encoded.skill] = by_skill.get(encoded.skill, 0) + len(encoded.ids)
            if index == 6000:
                break
        self.assertEqual(set(by_skill), set(SKILLS))
        self.assertGreater(by_skill["arithmetic"] / count, 0.15)
        self.assertGreater(lost / count, 0.15)

    def test_lengths(self):
        longest = max(len(encoded.ids) for encoded, _ in zip(stream(7, 0, 1.0), range(3000)))
        self.assertGreater(longest, 3000)
        self.assertLessEqual(longest, 4608)

    def test_every_step_is_right(self):
        for kind, (_, make) in SKILLS["arithmetic"].items():
            for index in range(200):
                sample = make(Draw(f"steps {index}", "train"))
                for text in [sample.reply.thinking] if sample.reply.thinking else []:
                    for a, s, b, c, value in re.findall(r"(\d+)([-+*])(\d+)[-+](\d+)=(\d+)", text):
                        a, b, c, value = int(a), int(b), int(c), int(value)
                        wanted = {"+": a + b + c, "*": a * b + c, "-": (a - b - c) % 10}[s]
                        self.assertEqual(value, wanted, text)
                    for a, b, q, r in re.findall(r"(\d+)/(\d+)=(\d+) r(\d+)", text):
                        self.assertEqual((int(q), int(r)), divmod(int(a), int(b)), text)
                    self.assertEqual(float(text.rpartition("=")[2]), sample.check["number"], text)

    def test_operands_are_kept_apart(self):
        seen = {"train": set(), "held_out": set()}
        for split in seen:
            for index in range(4000):
                sample = arithmetic.product_hard(Draw(f"apart {index}", split))
                numbers = re.findall(r"\d+", sample.request["messages"][0]["content"].replace(",", ""))
                seen[split].add(tuple(numbers[:2]))
                if split == "train":
                    self.assertFalse(any(in_held_range(int(number)) for number in numbers))
        self.assertFalse(seen["train"] & seen["held_out"])

    def test_bugs_are_bugs(self):
        """Each family's right source passes its tests and each of its bugs fails one."""
        from string import Template

        for index, (names, _, source, bugs, tests) in enumerate(code.FAMILIES):
            check = {"python": {"name": "f", "tests": [[repr(a), r] for a, r in zip(tests, code.expected(index))]}}
            names_of = {role: f"v_{role}" for role in code.ROLES}
            self.assertTrue(judge(check, Template(source).substitute(f="f", **names_of)), names)
            for good, bad in bugs[:2]:
                self.assertIn(good, source)
                at = source.rfind(good)
                wrong = Template(source[:at] + bad + source[at + len(good):]).substitute(f="f", **names_of)
                self.assertFalse(judge(check, wrong), (names, good, bad))

    def test_ids_stay_in_the_vocabulary(self):
        encoder = Encoder()
        for _, _, sample in samples("train", 10):
            ids = encoder(sample).ids
            self.assertTrue((0 <= ids.min()) and (ids.max() < 4096))


class Held(unittest.TestCase):
    def test_the_committed_evaluation_can_be_read(self):
        folder = Path(__file__).parents[1] / "evaluation"
        for name in ("held_out.jsonl", "questions.jsonl"):
            lines = (folder / name).read_text().splitlines()
            entries = [json.loads(line) for line in lines]
            self.assertEqual(len({entry["id"] for entry in entries}), len(entries))
            for entry in entries:
                self.assertEqual(set(entry), {"id", "skill", "kind", "effort", "request", "check"})
                self.assertIn(entry["skill"], SKILLS)


if __name__ == "__main__":
    unittest.main()
