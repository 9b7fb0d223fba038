"""Pictures in messages."""

import openai
import pytest

from local import BLUE_SQUARE, RED_SQUARE, data_url, png, skill
from test_chat import create, join, whole


def ask(*urls, text="What color is the square?", **options):
    parts = [{"type": "text", "text": text}] + [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return create(messages=[{"role": "user", "content": parts}], **options)


def test_a_picture_takes_tokens():
    plain, one, two = (ask(*[RED_SQUARE] * count).usage.prompt_tokens for count in range(3))
    rows, columns = 84 // 28, 84 // 28  # 84 pixels are 3 x 3 patches of 28, each row closed by a break or the end
    assert one - plain == two - one == rows * columns + rows


def test_forms_of_a_picture():
    reply = create(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": RED_SQUARE}]}])
    assert reply.usage.prompt_tokens > 12
    with_detail = {"type": "image_url", "image_url": {"url": RED_SQUARE, "detail": "low"}}
    assert create(messages=[{"role": "user", "content": [with_detail]}]).usage.prompt_tokens == reply.usage.prompt_tokens


def test_streamed_equals_unstreamed():
    unstreamed = ask(RED_SQUARE, seed=1, temperature=1.0)
    choices, _ = join(ask(RED_SQUARE, seed=1, temperature=1.0, stream=True))
    assert choices == {0: whole(unstreamed.choices[0])}


@pytest.mark.parametrize("url", [
    "data:image/png;base64,AAAA", "data:image/png;base64,%%%", "data:text/plain;base64,aGVsbG8=", "http://127.0.0.1:9/a.png", "https://example.org/a.png",
    "file:///etc/passwd", "nonsense", "", data_url(png(84, 84, lambda x, y: (1, 2, 3))[:60]),
])
def test_what_is_no_picture_is_refused(url):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(url)
    assert caught.value.message and "/etc" not in str(caught.value.body).replace("file:///etc", "")


@skill("sees colours")
@pytest.mark.parametrize("url, colour", [(RED_SQUARE, "red"), (BLUE_SQUARE, "blue")])
def test_the_colour(url, colour):
    assert colour in ask(url, temperature=0).choices[0].message.content.lower()
