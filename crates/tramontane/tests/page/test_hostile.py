"""A model may write anything. No script runs, no request leaves, the page stays alive.

That no script ran and no request left is checked after each test, by the `visit` fixture.
"""

import pytest
from playwright.sync_api import expect

ALERT = "window.traces.push('ran')"
MARKS = [
    f"<script>{ALERT}</script>",
    f"<img src=x onerror=\"{ALERT}\">",
    f"<svg onload=\"{ALERT}\"><animate onbegin=\"{ALERT}\" attributeName=x dur=1s>",
    f"<math><mtext><table><mglyph><style><!--</style><img title=\"--><img src=1 onerror={ALERT}>\">",
    f"<iframe srcdoc=\"<script>parent.{ALERT}</script>\"></iframe>",
    "<iframe src=\"https://example.org\"></iframe><object data=\"https://example.org\"></object><embed src=\"https://example.org\">",
    "<link rel=stylesheet href=https://example.org/a.css><style>@import 'https://example.org/b.css'; * { display: none }</style>",
    "<form action=https://example.org><input name=a autofocus onfocus=\"" + ALERT + "\"></form>",
    "<base href=https://example.org/><meta http-equiv=refresh content=\"0;url=https://example.org\">",
    "<img src=https://example.org/pixel.png><video src=https://example.org/a.mp4 autoplay></video>",
    f"<details open ontoggle=\"{ALERT}\">",
    "<a href=\"javascript:" + ALERT + "\" id=model name=send>a</a><div id=prompt style=\"position:fixed;inset:0\">over</div>",
    f"<br onclick=\"{ALERT}\"><sub/onmouseover={ALERT}>x</sub>",
    f"[a](javascript:{ALERT})",
    f"[b](<java\tscript:{ALERT}>)",
    f"[c](data:text/html,<script>{ALERT}</script>)",
    "[d](vbscript:a) [e](file:///etc/passwd) [f](blob:x) [g](//example.org/h) <javascript:alert(1)>",
    f"[h]: javascript:{ALERT}\n[h] and [i][h]",
    "![pixel](https://example.org/pixel.png)",
    "![pixel](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    f"![x](x\" onerror=\"{ALERT})",
    f"```html\" onclick=\"{ALERT}\n<script>{ALERT}</script>\n```",
    f"| <img src=x onerror={ALERT}> |\n|---|\n| <script>{ALERT}</script> |",
    f"$$\\href{{javascript:{ALERT}}}{{x}} \\htmlStyle{{position:fixed}}{{y}} \\includegraphics{{https://example.org/a.png}}$$",
    f"$\\text{{<img src=x onerror={ALERT}>}}$ and $\\url{{javascript:{ALERT}}}$",
    "$$\\def\\a{\\a\\a}\\a$$ and $\\rule{100000em}{100000em}$",
    f"<span class=\"maths\">\\href{{javascript:{ALERT}}}{{x}}</span>",
]

SAFE = """() => [...document.querySelectorAll('#messages *')].flatMap((node) => {
  const faults = [];
  const name = node.localName;
  if (['script', 'iframe', 'object', 'embed', 'form', 'link', 'style', 'base', 'meta', 'video', 'audio', 'img', 'animate', 'foreignobject'].includes(name)) faults.push(name);
  if (name === 'svg' && !node.classList.contains('icon')) faults.push('svg');
  for (const { name: attribute, value } of node.attributes) {
    if (attribute.startsWith('on')) faults.push(attribute);
    if (['href', 'src', 'xlink:href'].includes(attribute) && !/^(https?:\\/\\/|mailto:)/.test(value)) faults.push(value);
    if (attribute === 'id') faults.push(`id ${value}`);
  }
  return faults;
})"""


def is_alive(chat, stand_in):
    """The page still answers within its patience."""
    stand_in.deltas = lambda _: [{"content": "Still here."}]
    chat.send("Are you there?")
    expect(chat.last).to_contain_text("Still here.")


def test_marks_do_nothing(visit, stand_in):
    chat = visit(stand_in.url)
    stand_in.deltas = lambda _: [{"reasoning_content": "\n\n".join(MARKS)}, {"content": "\n\n".join(MARKS)}]
    chat.page.get_by_role("button", name="Think").click()
    chat.send("Do your worst")
    chat.last.locator("summary").click()
    expect(chat.last.locator(".thought")).to_contain_text("<script>")
    expect(chat.last.locator(".body > .prose")).to_contain_text("<script>")
    assert chat.page.evaluate(SAFE) == []
    # Hovering and clicking on all that is left of it does nothing either.
    for link in chat.last.locator(".prose a").all():
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert link.get_attribute("target") == "_blank"
    is_alive(chat, stand_in)


@pytest.mark.parametrize("step", [1, 3])
def test_marks_do_nothing_while_they_stream(visit, stand_in, step):
    text = "\n\n".join(MARKS[::2] if step == 1 else MARKS)
    chat = visit(stand_in.url)

    def deltas(_):
        for at in range(0, len(text), step * 7):
            yield {"content": text[at : at + step * 7]}
            yield 0.004

    stand_in.deltas = deltas
    chat.send("Slowly")
    expect(chat.last.locator(".body > .prose")).to_contain_text("onerror")
    assert chat.page.evaluate(SAFE) == []


def test_names_titles_errors_and_arguments_are_text(visit, stand_in):
    mark = f"<img src=x onerror={ALERT}>"
    stand_in.deltas = lambda _: [{"tool_calls": [{"index": 0, "id": mark, "function": {"name": mark, "arguments": mark}}]}]
    chat = visit(stand_in.url)
    chat.send(mark)
    expect(chat.last.locator(".call-name code")).to_have_text(mark)
    expect(chat.page.locator("#chats a")).to_have_text(mark)
    stand_in.refusal = (418, mark)
    chat.last.get_by_role("button", name="Send result").click()
    expect(chat.last.get_by_role("alert")).to_have_text(mark)
    assert chat.page.locator("#frame img").count() == 0


TABLE = "| " + " | ".join(f"column {number}" for number in range(60)) + " |\n|" + "---|" * 60 + "\n"
SIZES = {
    "a huge table": TABLE + ("| " + " | ".join(["cell"] * 60) + " |\n") * 1500,
    "a line of a megabyte": "a" * 1_000_000,
    "a megabyte of words": "word " * 200_000,
    "a megabyte of stars": "*a _b " * 170_000,
    "a megabyte of brackets": "[" * 500_000 + "]" * 500_000,
    "deep quotes": ">" * 5_000 + " deep",
    "deep lists": "".join("  " * level + "- item\n" for level in range(400)),
    "a line of list marks": "- " * 20_000 + "x",
    "many paragraphs": "A paragraph of *some* words.\n\n" * 5_000,
    "code of a megabyte": "```\n" + "0123456789" * 100 * 1_000 + "\n```",
    "many formulas": "$x_1$ " * 5_000,
    "open dollars": "$$" + "\\frac{" * 20_000,
    "strange letters": "\u202e\u0000\ufeff" + "e\u0301" * 3_000 + "\u0489" * 3_000 + "👩‍👩‍👧" * 1_000,
}


@pytest.mark.parametrize("name", SIZES)
def test_size_does_not_stop_the_page(visit, stand_in, name):
    text = SIZES[name]
    pieces = 40
    size = len(text) // pieces + 1
    stand_in.deltas = lambda _: ({"content": text[at : at + size]} for at in range(0, len(text), size))
    chat = visit(stand_in.url)
    chat.send("A lot, please")
    expect(chat.last.locator(".stats")).to_contain_text("tokens")
    expect(chat.last.locator(".body > .prose .block").first).to_be_visible()
    assert chat.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    is_alive(chat, stand_in)
    # It is there after a reload, too.
    if name == "a huge table":
        chat.page.reload()
        expect(chat.last).to_contain_text("Still here.")
