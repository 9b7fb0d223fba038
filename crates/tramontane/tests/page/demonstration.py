"""A conversation that shows what the page can do, for its pictures. The replies are written here, not by a model."""

import base64
import struct
import zlib

QUESTION = "Why does a convolution become a product under the Fourier transform? Show it in code, too."

THOUGHT = (
    "The question is about the convolution theorem. State it, give the one-line reason (exponentials are eigenfunctions of "
    "shifts), then check it with NumPy. Mind **circular** against linear convolution: the FFT gives the circular one, so pad "
    "to $n + m - 1$."
)

ANSWER = r"""Because complex exponentials pass through a shift unchanged, up to a factor. A convolution is a weighted sum of shifts, so on each exponential it acts as a *number*:

$$
\widehat{f * g}(\xi) = \int\!\!\int f(t)\,g(x - t)\,e^{-2\pi i x \xi}\,dt\,dx = \hat f(\xi)\,\hat g(\xi)
$$

Substituting $u = x - t$ splits the double integral into two. For sequences the same holds, as long as both are padded to length $n + m - 1$:

```python
import numpy as np

def convolve(a, b):
    length = len(a) + len(b) - 1
    product = np.fft.rfft(a, length) * np.fft.rfft(b, length)
    return np.fft.irfft(product, length)

a, b = np.random.rand(1000), np.random.rand(300)
assert np.allclose(convolve(a, b), np.convolve(a, b))
```

What it costs:

| | multiplications | for $n = 10^6$ |
|---|---:|---:|
| directly | $n^2$ | $10^{12}$ |
| by the FFT | $\tfrac{3}{2}\,n \log_2 n$ | $3 \cdot 10^{7}$ |

Two things to mind:

1. **Padding.** Without it the ends wrap around.
2. **Rounding.** The error grows with $\log n$, not with $n$.
"""


def words(text, size=4):
    """The text in pieces, as tokens would be."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def deltas(body):
    if body.get("tools"):
        if body["messages"][-1]["role"] == "tool":
            yield from ({"content": piece} for piece in words("It is 11 °C in Marseille, with a strong north wind: the mistral is blowing. Take a jacket."))
            return
        yield {"tool_calls": [{"index": 0, "id": "a1b2c3d4e", "type": "function", "function": {"name": "get_weather", "arguments": ""}}]}
        for piece in words('{"city": "Marseille", "unit": "celsius"}'):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
        return
    if body.get("reasoning_effort") == "high":
        for piece in words(THOUGHT):
            yield {"reasoning_content": piece}
            yield 0.01
    for piece in words(ANSWER):
        yield {"content": piece}
        yield 0.005


TOOLS = """[{"type": "function", "function": {
  "name": "get_weather",
  "description": "The weather in a city",
  "parameters": {"type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
    "required": ["city"]}}}]"""


def picture(width=240, height=160):
    """A PNG of a sky over hills."""
    rows = []
    for y in range(height):
        row = bytearray([0])
        for x in range(width):
            hill = height * 0.62 + 14 * ((x / width * 5) % 2 - 1) ** 2 - 10 * (x / width)
            sky = (150 + y // 3, 190 + y // 5, 225)
            row += bytes(sky if y < hill else (60 + x // 8, 105 + y // 6, 90))
        rows.append(bytes(row))
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(b"".join(rows))) + part(b"IEND", b"")


def data_url(png):
    return "data:image/png;base64," + base64.b64encode(png).decode()
