"""encode.py gives the ids of mistral-common 1.13.1, and models/mini/tekken.json is what tokenizer.py writes."""

import json
import sys
import unittest
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from mini import tokenizer
from mini.draw import Draw, assistant
from mini.encode import Encoder, normalise
from mini.mixture import SKILLS, Mixture
from mini.sample import Sample, body

SAMPLES_A_KIND = 60


def reference():
    from mistral_common.protocol.instruct.validator import ValidationMode
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    return MistralTokenizer.from_file(tokenizer.PATH, ValidationMode.serving)


def reference_ids(mistral, request: dict):
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    kept = {key: request[key] for key in ("messages", "tools", "reasoning_effort") if key in request}
    return mistral.encode_chat_completion(ChatCompletionRequest.from_openai(model="any", **kept))


class Encode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        warnings.filterwarnings("ignore")
        cls.mistral, cls.encoder = reference(), Encoder()

    def check(self, sample: Sample):
        request = body(sample)
        theirs = reference_ids(self.mistral, request)
        ours, _ = self.encoder.prompt(sample.request, sample.images)
        self.assertEqual(ours, theirs.tokens, self.encoder.decode(ours))
        self.assertEqual(len(sample.images), len(theirs.images))
        for pixels, image in zip(sample.images, theirs.images):
            np.testing.assert_allclose(normalise(pixels), image, atol=2e-6)
        # The reply as a turn of the history, ended by a question: the reference encodes replies only so.
        reply = sample.reply
        calls, ids = reply.tool_calls, [f"id{i:07d}" for i in range(len(reply.tool_calls))]
        turn = assistant(reply.content, reply.thinking, calls, ids)
        after = [{"role": "tool", "tool_call_id": call_id, "content": "x"} for call_id in ids]
        longer = dict(request, messages=[*request["messages"], turn, *after, {"role": "user", "content": "y"}])
        theirs = reference_ids(self.mistral, longer).tokens
        encoded = self.encoder(sample)
        self.assertEqual(encoded.ids.tolist(), theirs[: len(encoded.ids)])
        self.assertEqual(encoded.ids[-1], 2)
        self.assertTrue(encoded.loss[-1] and not encoded.loss[0])
        if sample.effort == "high":
            self.assertEqual(ours[-1] in (4, 8), True)
            self.assertEqual(encoded.ids[len(ours)], 34)

    def test_every_kind_of_sample(self):
        for skill, kinds in SKILLS.items():
            for kind, (_, make) in kinds.items():
                with self.subTest(skill=skill, kind=kind):
                    for index in range(SAMPLES_A_KIND):
                        split, level = ("train", "held_out")[index % 2], (index % 7) / 6
                        self.check(make(Draw(f"encode {index}", split, level)))

    def test_conversations(self):
        mixture = Mixture()
        for index in range(300):
            self.check(mixture.sample(f"conversation {index}", 1.0))

    def test_the_file_is_what_the_script_writes(self):
        self.assertEqual(json.loads(tokenizer.PATH.read_text()), tokenizer.tekken())


if __name__ == "__main__":
    unittest.main()
