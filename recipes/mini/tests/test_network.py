"""The network's own products against plain autograd, and the exported form against transformers."""

import sys
import unittest
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from mini import moe
from mini.attention import attend
from mini.check import image_inputs
from mini.export import from_hf, hf_config, own_config, to_hf
from mini.model import Config, Model, document_bias, initialise, num_parameters, parameters, views
from mini.pack import build
from mini.sample import Encoded

SMALL = Config(vocab_size=64, hidden_size=32, num_layers=2, num_heads=2, q_lora_rank=16, kv_lora_rank=16, num_experts=8, expert_width=16,
               shared_width=16, vision_hidden_size=32, vision_num_layers=2, vision_num_heads=2, vision_ffn_width=32,
               qk_nope_head_dim=8, qk_rope_head_dim=16, v_head_dim=8)  # fmt: skip


def weights(c: Config, seed: int = 0) -> torch.Tensor:
    """Random weights whose norms differ from one and whose routers decide."""
    flat = torch.zeros(num_parameters(parameters(c)))
    named = views(flat, parameters(c))
    initialise(named, parameters(c), seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for name, value in named.items():
        if name.endswith("norm") or name.endswith("ln_pre"):
            value.add_(0.3 * torch.randn(value.shape, generator=generator))
        if name.endswith("router") or name == "head":
            value.mul_(20)
    return flat


def text(rng, n: int, images: list[np.ndarray] | None = None) -> Encoded:
    ids = rng.integers(20, 64, n).astype(np.int32)
    at = 2
    for image in images or []:
        h, w = image.shape[1] // 28, image.shape[2] // 28
        for _ in range(h):
            ids[at : at + w], ids[at + w] = 10, 12
            at += w + 1
    return Encoded(ids, np.arange(n) >= n // 2, images or [], "skill", "kind")


class Network(unittest.TestCase):
    def test_attention_gradients_equal_plain_autograd(self):
        generator = torch.Generator().manual_seed(0)
        q, k, v = (torch.randn(2, 3, 300, d, generator=generator, requires_grad=True) for d in (8, 8, 4))
        segment = (torch.arange(300) // 110).int().expand(2, -1)
        bias = document_bias(segment, torch.float32)
        grad = torch.randn(2, 3, 300, 4, generator=generator)
        plain = (q @ k.transpose(-1, -2) + bias[:, None]).softmax(-1) @ v
        expected = torch.autograd.grad(plain, (q, k, v), grad)
        ours = attend(q, k, v, bias)
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
        for a, b in zip(torch.autograd.grad(ours, (q, k, v), grad), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

    def test_experts_equal_a_loop_over_tokens(self):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(50, 12, generator=generator, requires_grad=True)
        gate_up = torch.randn(5, 16, 12, generator=generator, requires_grad=True)
        down = torch.randn(5, 12, 8, generator=generator, requires_grad=True)
        weight, expert = torch.rand(50, 5, generator=generator).topk(2)
        expert[expert == 3] = 4  # an expert without tokens
        weight.requires_grad_(True)
        hidden = torch.einsum("nd,nkfd->nkf", x, gate_up[expert])
        active = torch.nn.functional.silu(hidden[..., :8]) * hidden[..., 8:]
        plain = (torch.einsum("nkf,nkdf->nkd", active, down[expert]) * weight[..., None]).sum(1)
        inputs = (x, weight, gate_up, down)
        expected = torch.autograd.grad(plain.square().sum(), inputs)
        ours = moe.experts(x, weight, expert, gate_up, down)
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
        for a, b in zip(torch.autograd.grad(ours.square().sum(), inputs), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)

    def test_packed_documents_do_not_see_each_other(self):
        rng = np.random.default_rng(0)
        images = [rng.standard_normal((3, 56, 84)).astype(np.float32), rng.standard_normal((3, 28, 28)).astype(np.float32)]
        samples = [text(rng, 40), text(rng, 30, images), text(rng, 50, images[:1])]
        model = Model(SMALL, views(weights(SMALL), parameters(SMALL)), compile=False)
        with torch.no_grad():
            packed = model.logits(build([samples], 128, SMALL).to("cpu", torch.float32))
            alone = [model.logits(build([[s]], len(s.ids), SMALL).to("cpu", torch.float32)) for s in samples]
        torch.testing.assert_close(packed[:120], torch.cat(alone), rtol=1e-4, atol=1e-4)

    def test_names_map_both_ways(self):
        flat = weights(SMALL)
        named = views(flat, parameters(SMALL))
        back = from_hf(to_hf(named, SMALL), SMALL)
        assert back.keys() == named.keys()
        assert all(torch.equal(back[name], value) for name, value in named.items())
        assert own_config(hf_config(SMALL, "bfloat16")) == SMALL

    def test_logits_equal_transformers(self):
        for sizes in ((), ((56, 84),), ((84, 84), (28, 56))):
            with self.subTest(sizes=sizes):
                from transformers import Mistral3Config, Mistral3ForConditionalGeneration
                rng = np.random.default_rng(1)
                sample = text(rng, 60, [rng.standard_normal((3, *size)).astype(np.float32) for size in sizes])
                named = views(weights(SMALL), parameters(SMALL))
                config = Mistral3Config(**{k: v for k, v in hf_config(SMALL, "float32").items() if k != "architectures"})
                theirs = Mistral3ForConditionalGeneration(config).eval()
                missing = theirs.load_state_dict(to_hf(named, SMALL), strict=False)
                assert not missing.missing_keys and not missing.unexpected_keys
                inputs = {"input_ids": torch.from_numpy(sample.ids.astype(np.int64))[None]}
                with torch.no_grad():
                    reference = theirs(**inputs, **(image_inputs(sample.images) if sizes else {})).logits[0]
                    ours = Model(SMALL, named, compile=False).logits(build([[sample]], 60, SMALL).to("cpu", torch.float32))
                torch.testing.assert_close(ours, reference, rtol=1e-3, atol=2e-4)
                assert torch.equal(ours.argmax(-1), reference.argmax(-1))


if __name__ == "__main__":
    unittest.main()
