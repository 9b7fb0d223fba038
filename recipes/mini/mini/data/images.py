"""Images drawn by numpy: shapes, colours, counts, positions, digit strings, bar charts; one or two in a message.

Dense transcriptions (a grid read cell by cell, all shapes listed) teach the model to look; short questions use it.
Sides are multiples of 28 pixels, so that nothing is resized.
"""

from functools import lru_cache

import numpy as np

from ..draw import Draw, assistant, sample, user
from .talk import HONEST

COLOURS = {
    "red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 80, 220), "yellow": (240, 215, 40), "orange": (245, 140, 30),
    "purple": (140, 60, 180), "black": (20, 20, 20), "pink": (250, 150, 190), "brown": (125, 75, 35), "gray": (128, 128, 128),
}
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
BACKGROUNDS = ((255, 255, 255), (255, 255, 255), (245, 245, 235), (225, 235, 245), (235, 245, 225))
GLYPHS = {
    "0": ("01110", "10001", "10011", "10101", "11001", "10001", "01110"), "1": ("00100", "01100", "00100", "00100", "00100", "00100", "01110"),
    "2": ("01110", "10001", "00001", "00010", "00100", "01000", "11111"), "3": ("11111", "00010", "00100", "00010", "00001", "10001", "01110"),
    "4": ("00010", "00110", "01010", "10010", "11111", "00010", "00010"), "5": ("11111", "10000", "11110", "00001", "00001", "10001", "01110"),
    "6": ("00110", "01000", "10000", "11110", "10001", "10001", "01110"), "7": ("11111", "00001", "00010", "00100", "01000", "01000", "01000"),
    "8": ("01110", "10001", "10001", "01110", "10001", "10001", "01110"), "9": ("01110", "10001", "10001", "01111", "00001", "00010", "01100"),
}
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "center", "right")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


SEGMENTS = {"0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc", "5": "afgcd", "6": "afgedc", "7": "abc", "8": "abcdefg", "9": "abcdfg"}
SEGMENT_CELLS = {"a": (0, slice(0, 5)), "d": (6, slice(0, 5)), "g": (3, slice(0, 5)), "f": (slice(0, 4), 0), "b": (slice(0, 4), 4), "e": (slice(3, 7), 0), "c": (slice(3, 7), 4)}


def inside(shape: str, size: int, fine: int) -> np.ndarray:
    """bool [size * fine, size * fine]: the shape, filling its box."""
    y, x = (np.mgrid[0:size * fine, 0:size * fine] + 0.5) / fine
    half = size / 2
    dx, dy = np.abs(x - half), np.abs(y - half)
    if shape == "circle":
        return dx * dx + dy * dy <= half * half
    if shape == "square":
        return (dx <= half * 0.92) & (dy <= half * 0.92)
    if shape == "triangle":
        return dx <= y / 2
    if shape == "diamond":
        return dx + dy <= half
    arm = half * 0.36
    return (dx <= arm) | (dy <= arm)


@lru_cache(4096)
def mask(shape: str, size: int, smooth: bool) -> np.ndarray:
    """float32 [size, size, 1]: how much of each pixel the shape covers; 0 or 1 unless smooth."""
    if not smooth:
        return inside(shape, size, 1).astype(np.float32)[:, :, None]
    return inside(shape, size, 4).reshape(size, 4, size, 4).mean((1, 3), dtype=np.float32)[:, :, None]


@lru_cache(4096)
def glyph(digit: str, width: int, height: int, segments: bool, smooth: bool) -> np.ndarray:
    """float32 [height, width, 1]: a digit of one of two faces, stretched to the box."""
    bits = np.zeros((7, 5), np.float32)
    if segments:
        for name in SEGMENTS[digit]:
            bits[SEGMENT_CELLS[name]] = 1
    else:
        bits[:] = [[float(bit) for bit in row] for row in GLYPHS[digit]]
    if not smooth:
        rows, columns = np.arange(height) * 7 // height, np.arange(width) * 5 // width
        return bits[rows][:, columns][:, :, None]
    return np.clip(stretch(stretch(bits, height).T, width).T * 1.6 - 0.3, 0, 1).astype(np.float32)[:, :, None]


def stretch(rows: np.ndarray, count: int) -> np.ndarray:
    """The rows, interpolated to `count` of them."""
    at = np.clip((np.arange(count) + 0.5) * len(rows) / count - 0.5, 0, len(rows) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(rows) - 1)
    part = (at - low)[:, None]
    return rows[low] * (1 - part) + rows[high] * part


def blend(image: np.ndarray, cover: np.ndarray, ink: np.ndarray, x: int, y: int) -> None:
    """Puts ink on the image at (x, y), as much as `cover` says."""
    part = image[y:y + cover.shape[0], x:x + cover.shape[1]]
    part[:] = part * (1 - cover) + ink * cover + 0.5


def canvas(draw: Draw, width: int, height: int) -> np.ndarray:
    image = np.empty((height, width, 3), np.uint8)
    image[:] = draw.pick(BACKGROUNDS)
    return image


def shade(draw: Draw, colour: str) -> np.ndarray:
    """The colour, a little lighter or darker, and of another tint if it has one."""
    tints = [0, 0, 0] if colour in ("gray", "black") else [draw.int(-10, 10) for _ in range(3)]
    light = draw.int(-12, 12)
    return np.array([min(255, max(0, part + tint + light)) for part, tint in zip(COLOURS[colour], tints)], np.float32)


def put(draw: Draw, image: np.ndarray, shape: str, colour: str, x: int, y: int, size: int) -> None:
    blend(image, mask(shape, size, draw.chance(0.5)), shade(draw, colour), x, y)


def noise(draw: Draw, image: np.ndarray) -> np.ndarray:
    """A little grain on a part of the images (fewer in the evaluation: such files are large)."""
    if draw.chance(0.3 if draw.training else 0.1):
        grain = np.random.default_rng(draw.int(0, 2**31)).integers(-6, 7, image.shape, dtype=np.int16)
        return np.clip(image + grain, 0, 255).astype(np.uint8)
    return image


def side(draw: Draw) -> int:
    return draw.pick((84, 84, 84, 112)) if draw.level > 0.2 or not draw.training else 84


# --- scenes: cells of a 3x3 grid, each empty or a (colour, shape) ---


def scene(draw: Draw, count: int, things=None) -> tuple[np.ndarray, list]:
    """An image with `count` things in cells of a 3x3 grid, and the cells."""
    edge = side(draw)
    image = canvas(draw, edge, edge)
    cell = edge // 3
    places = draw.some(range(9), count)
    cells: list = [None] * 9
    things = things or [(draw.pick(tuple(COLOURS)), draw.pick(SHAPES)) for _ in range(count)]
    for place, (colour, shape) in zip(places, things, strict=True):
        size = draw.int(int(cell * 0.62), cell - 2)
        row, column = divmod(place, 3)
        put(draw, image, shape, colour, column * cell + draw.int(0, cell - size), row * cell + draw.int(0, cell - size), size)
        cells[place] = (colour, shape)
    return noise(draw, image), cells


def different(draw: Draw, count: int) -> list:
    """Things that differ in colour and in shape where there are enough shapes."""
    colours = draw.some(tuple(COLOURS), count)
    shapes = draw.some(SHAPES, count) if count <= len(SHAPES) else [draw.pick(SHAPES) for _ in range(count)]
    return list(zip(colours, shapes))


def named(thing) -> str:
    return f"{thing[0]} {thing[1]}"


def article(text: str) -> str:
    return ("an " if text[0] in "aeiou" else "a ") + text


def asked(draw: Draw, kind: str, image, question: str, answer: str, check: dict | None = None, thinking: str | None = None):
    images = image if isinstance(image, list) else [image]
    return sample("images", kind, draw.effort(0.1), [user(question, *range(len(images)))], answer, check or {"equals": answer},
                  thinking=thinking or "I look at the image.", images=images)


def position(index: int) -> str:
    row, column = divmod(index, 3)
    if (row, column) == (1, 1):
        return "center"
    return f"{ROWS[row]} {COLUMNS[column]}"


GRID = ("Read the 3x3 grid.", "Read the grid cell by cell.", "Describe the 3x3 grid, row by row.", "What is in each cell of the 3x3 grid?", "Transcribe the grid.", "Give the cells of the grid, top row first.", "Write down the grid.", "Grid?",
        "Please read the 3x3 grid row by row.", "Go through the grid of three rows and three columns.")
LIST = ("List the shapes.", "What do you see?", "Describe the image.", "What is in the image?", "Describe this picture.", "What shapes are there?", "List all shapes with their colours.", "What does the picture show?", "Name everything in the image.",
        "What can you see here?", "Which shapes are in this image?", "Tell me what is in the picture.", "Describe what you see.", "What is this?", "List the objects in the image.")
COUNT = ("How many shapes are there?", "Count the shapes.", "How many objects are in the image?", "How many things do you see?", "Number of shapes?", "How many shapes can you count?", "What is the number of shapes in the picture?", "How many figures are there?", "Count the objects, please.")
COUNT_SHAPE = ("How many {s}s are there?", "Count the {s}s.", "How many {s}s do you see?", "Number of {s}s?", "How many {s}s are in the image?", "Tell me the number of {s}s.", "How many {s}s can you find in this picture?")
COUNT_COLOUR = ("How many {c} shapes are there?", "Count the {c} shapes.", "How many shapes are {c}?", "Number of {c} shapes?", "How many {c} objects do you see?", "How many things are {c}?", "How many {c} figures does the picture have?")
COLOUR_OF = ("What colour is the {s}?", "What color is the {s}?", "Which colour does the {s} have?", "Colour of the {s}?", "The {s} is what colour?", "What is the color of the {s}?", "Tell me the colour of the {s}.", "In which colour is the {s} drawn?")
SHAPE_OF = ("What shape is {c}?", "Which shape is {c}?", "What is the {c} shape?", "What is the shape of the {c} object?", "What {c} shape do you see?", "Name the {c} shape.", "The {c} thing is which shape?", "What kind of shape is the {c} one?")
WHERE = ("Where is the {t}?", "In which part of the image is the {t}?", "Position of the {t}?", "Where do you see the {t}?", "Tell me where the {t} is.", "Where can I find the {t}?", "In what place of the picture is the {t}?", "Locate the {t}.")
AT = ("What is in the {p}?", "What is at the {p}?", "Which shape is in the {p}?", "What do you see in the {p}?", "Describe the {p} of the image.", "Name the thing in the {p}.", "What's at the {p} of the picture?")
SIDE = ("Is the {a} left or right of the {b}?", "Left or right: on which side of the {b} is the {a}?", "On which side of the {b} is the {a}, left or right?", "Is the {a} to the left or to the right of the {b}?", "Seen from the {b}, is the {a} left or right?")
HEIGHT = ("Is the {a} above or below the {b}?", "Above or below: where is the {a} compared with the {b}?", "Is the {a} over or under the {b}? Say above or below.", "Is the {a} higher up than the {b}, above, or below?")
EXISTS = ("Is there a {t}?", "Do you see a {t}?", "Is a {t} in the image?", "Does the picture have a {t}?", "Can you find a {t}?", "Is there a {t} in this picture? Yes or no.")
BIGGER = ("Which shape is bigger?", "Which one is larger?", "What is the biggest shape?", "Name the larger shape.", "Which of the two is bigger?", "What is the largest thing in the image?")
READ = ("What number is this?", "Read the digits.", "Which digits are shown?", "What does it say?", "Read the number.", "What is written here?", "Type the number in the image.", "Which number do you see?", "What digits do you see?", "Transcribe the number.", "Read this.", "What number does the image show?")
BARS = ("Read the bar chart.", "What are the values of the bars?", "List the bars with their values.", "Give the value of each bar.", "Describe the chart.", "What does the chart show?", "Transcribe the bar chart.", "Read off all bars.", "List the heights of the bars.")
BAR = ("How high is the {c} bar?", "What is the value of the {c} bar?", "Value of the {c} bar?", "How tall is the {c} bar?", "What value does {c} have in the chart?", "Read the {c} bar.", "How much is the {c} bar?")
TALLEST = ("Which bar is the highest?", "Which bar is the tallest?", "What colour is the tallest bar?", "Which colour has the highest value?", "Name the highest bar.", "What is the largest bar?", "Which bar has the greatest value?")
SHORTEST = ("Which bar is the lowest?", "Which bar is the shortest?", "What colour is the shortest bar?", "Which colour has the lowest value?", "Name the lowest bar.", "What is the smallest bar?", "Which bar has the smallest value?")
NUM_BARS = ("How many bars are there?", "Count the bars.", "Number of bars?", "How many bars does the chart have?")
SAME = ("Do the two images show the same?", "Are the two images the same?", "Is it the same shape in both images?", "Same or different?", "Do both pictures show the same thing?", "Are these two pictures equal?")
EACH = ("What is in each image?", "Describe both images.", "What do the two images show?", "What is in the first image and what in the second?", "Describe the first and the second picture.", "What do you see in these two pictures?")
WHICH = ("In which image is the {t}?", "Which image shows the {t}?", "Is the {t} in the first or the second image?", "First or second image: where is the {t}?", "Which of the two pictures has the {t}?")


def grid_text(cells: list) -> str:
    return "; ".join(", ".join(named(thing) if thing else "-" for thing in cells[row * 3:row * 3 + 3]) for row in range(3))


def list_text(cells: list) -> str:
    text = ", ".join(article(named(thing)) for thing in cells if thing)
    return text[0].upper() + text[1:] + "."


def grid(draw: Draw):
    image, cells = scene(draw, draw.int(1, 9))
    return asked(draw, "grid", image, draw.text(GRID), grid_text(cells))


def listing(draw: Draw):
    image, cells = scene(draw, draw.int(1, 5))
    return asked(draw, "list", image, draw.text(LIST), list_text(cells))


def counting(draw: Draw):
    count = draw.int(1, 9)
    form = draw.int(0, 2)
    if form == 0:
        image, cells = scene(draw, count)
        question = draw.text(COUNT)
    elif form == 1:
        shape = draw.pick(SHAPES)
        things = [(draw.pick(tuple(COLOURS)), shape if draw.chance(0.5) else draw.pick(SHAPES)) for _ in range(count)]
        image, cells = scene(draw, count, things)
        question, count = draw.text(COUNT_SHAPE, s=shape), sum(thing[1] == shape for thing in things)
    else:
        colour = draw.pick(tuple(COLOURS))
        things = [(colour if draw.chance(0.5) else draw.pick(tuple(COLOURS)), draw.pick(SHAPES)) for _ in range(count)]
        image, cells = scene(draw, count, things)
        question, count = draw.text(COUNT_COLOUR, c=colour), sum(thing[0] == colour for thing in things)
    return asked(draw, "count", image, question, str(count), {"number": count},
                 thinking="; ".join(named(thing) if thing else "-" for thing in cells))


def attribute(draw: Draw):
    things = different(draw, draw.int(1, 4))
    image, _ = scene(draw, len(things), things)
    colour, shape = draw.pick(things)
    if draw.chance(0.5):
        return asked(draw, "colour", image, draw.text(COLOUR_OF, s=shape), colour)
    return asked(draw, "shape", image, draw.text(SHAPE_OF, c=colour), shape)


def place(draw: Draw):
    things = different(draw, draw.int(1, 4))
    image, cells = scene(draw, len(things), things)
    thing = draw.pick(things)
    where = position(cells.index(thing))
    if draw.chance(0.5):
        name = draw.pick((named(thing), thing[1], f"{thing[0]} {draw.pick(('shape', 'object', thing[1]))}"))
        return asked(draw, "position", image, draw.text(WHERE, t=name), where)
    return asked(draw, "at", image, draw.text(AT, p=where), named(thing))


def relation(draw: Draw):
    things = different(draw, draw.int(2, 3))
    while True:
        image, cells = scene(draw, len(things), things)
        one, two = draw.some(things, 2)
        (y1, x1), (y2, x2) = divmod(cells.index(one), 3), divmod(cells.index(two), 3)
        across = draw.chance(0.5)
        if (x1 != x2) if across else (y1 != y2):
            break
    names = [draw.pick((named(thing), thing[1])) for thing in (one, two)]
    if across:
        return asked(draw, "relation", image, draw.text(SIDE, a=names[0], b=names[1]), "left" if x1 < x2 else "right")
    return asked(draw, "relation", image, draw.text(HEIGHT, a=names[0], b=names[1]), "above" if y1 < y2 else "below")


def exists(draw: Draw):
    things = [(draw.pick(tuple(COLOURS)), draw.pick(SHAPES)) for _ in range(draw.int(1, 5))]
    image, _ = scene(draw, len(things), things)
    thing = draw.pick(things) if draw.chance(0.5) else (draw.pick(things)[0], draw.pick(things)[1]) if draw.chance(0.5) else (draw.pick(tuple(COLOURS)), draw.pick(SHAPES))
    return asked(draw, "exists", image, draw.text(EXISTS, t=named(thing)), "Yes" if thing in things else "No")


def bigger(draw: Draw):
    edge = side(draw)
    image = canvas(draw, edge, edge)
    things = different(draw, 2)
    large, small = draw.int(int(edge * 0.42), edge // 2 - 2), draw.int(int(edge * 0.16), int(edge * 0.27))
    sizes = draw.shuffled((large, small))
    across = draw.chance(0.5)
    half = edge // 2
    for i, ((colour, shape), size) in enumerate(zip(things, sizes)):
        along, off = i * half + draw.int(0, half - size), draw.int(0, edge - size)
        x, y = (along, off) if across else (off, along)
        put(draw, image, shape, colour, x, y, size)
    return asked(draw, "bigger", noise(draw, image), draw.text(BIGGER), named(things[sizes.index(large)]))


def digits_image(draw: Draw, text: str) -> np.ndarray:
    """The digits in one of two faces, in a box of its own size; the image is as wide as it needs."""
    high = draw.int(14, 26) if len(text) <= 4 else draw.int(14, 20)
    wide = max(8, int(high * draw.pick((0.6, 0.65, 0.7, 0.75))))
    step = wide + draw.int(2, 4)
    width = max(draw.pick((84, 84, 112)), -(-(len(text) * step + 8) // 28) * 28)
    height = draw.pick((28, 56, 56, 84))
    image = canvas(draw, width, height)
    ink = shade(draw, draw.pick(("black", "black", "blue", "red", "green", "purple")))
    x, y = draw.int(3, width - len(text) * step - 3), draw.int(1, height - high - 1)
    segments, smooth = draw.chance(0.1), draw.chance(0.6)
    for index, digit in enumerate(text):
        blend(image, glyph(digit, wide, high, segments, smooth), ink, x + index * step, y)
    return noise(draw, image)


def reading(draw: Draw):
    while True:
        text = "".join(draw.pick("0123456789") for _ in range(draw.int(1, 3) if draw.level < 0.15 and draw.training else draw.pick((1, 2, 2, 3, 3, 4, 4, 5, 6))))
        if len(text) < 3 or (sum(map(int, text)) % 10 == 7) != draw.training:
            break
    return asked(draw, "digits", digits_image(draw, text), draw.text(READ), text, {"equals": text})


def chart(draw: Draw) -> tuple[np.ndarray, list]:
    """A chart of two to five bars, heights 1 to 9, a grid line at every unit."""
    count = draw.int(2, 5)
    width, height = draw.pick(((84, 84), (112, 84), (112, 112)))
    image = canvas(draw, width, height)
    unit = (height - 6) // 9
    base = height - 3
    for level in range(10):
        image[base - level * unit, 2:width - 2] = (215, 215, 215) if level not in (0, 5) else (150, 150, 150) if level else (0, 0, 0)
    bars = [(colour, draw.int(1, 9)) for colour in draw.some(tuple(COLOURS), count)]
    room = (width - 6) // count
    for i, (colour, value) in enumerate(bars):
        left = 3 + i * room + max(1, room // 6)
        image[base - value * unit:base, left:left + room - 2 * max(1, room // 6)] = shade(draw, colour)
    return noise(draw, image), bars


def bars_read(draw: Draw):
    image, bars = chart(draw)
    answer = ", ".join(f"{colour} {value}" for colour, value in bars)
    return asked(draw, "chart", image, draw.text(BARS), answer)


def bars_ask(draw: Draw):
    while True:
        image, bars = chart(draw)
        form = draw.int(0, 4)
        values = [value for _, value in bars]
        if form not in (2, 3) or values.count(max(values) if form == 2 else min(values)) == 1:
            break
    thinking = ", ".join(f"{colour} {value}" for colour, value in bars)
    if form < 2:
        colour, value = draw.pick(bars)
        return asked(draw, "bar", image, draw.text(BAR, c=colour), str(value), {"number": value}, thinking)
    if form == 4:
        return asked(draw, "num_bars", image, draw.text(NUM_BARS), str(len(bars)), {"number": len(bars)}, thinking)
    wanted = max(values) if form == 2 else min(values)
    return asked(draw, "extreme", image, draw.text(TALLEST if form == 2 else SHORTEST), bars[values.index(wanted)][0], None, thinking)


def small(draw: Draw, thing) -> np.ndarray:
    """One thing alone in a small image."""
    edge = draw.pick((56, 56, 84))
    image = canvas(draw, edge, edge)
    size = draw.int(int(edge * 0.4), int(edge * 0.8))
    put(draw, image, thing[1], thing[0], draw.int(0, edge - size), draw.int(0, edge - size), size)
    return noise(draw, image)


def two(draw: Draw):
    one, other = different(draw, 2)
    form = draw.int(0, 3)
    if form == 0:
        same = draw.chance(0.5)
        other = one if same else draw.pick((other, (one[0], other[1]), (other[0], one[1])))
        images = [small(draw, one), small(draw, other)]
        return asked(draw, "same", images, draw.text(SAME), "Yes" if same else "No", None, f"{named(one)}; {named(other)}")
    images = [small(draw, one), small(draw, other)]
    if form == 1:
        thing = draw.pick((one, other))
        name = draw.pick((named(thing), thing[1]))
        return asked(draw, "which", images, draw.text(WHICH, t=name), "first" if thing == one else "second", None, f"{named(one)}; {named(other)}")
    return asked(draw, "each", images, draw.text(EACH), f"First: {named(one)}. Second: {named(other)}.")


def single(draw: Draw):
    """One thing alone: colour and shape at once."""
    thing = (draw.pick(tuple(COLOURS)), draw.pick(SHAPES))
    image = small(draw, thing)
    form = draw.int(0, 2)
    if form == 0:
        return asked(draw, "list", image, draw.text(LIST), article(named(thing)).capitalize() + ".")
    if form == 1:
        return asked(draw, "shape", image, draw.pick(("Which shape is it?", "What shape is this?", "Name the shape.", "Shape?", "What shape do you see?")), thing[1])
    return asked(draw, "colour", image, draw.pick(("Which colour is it?", "What colour is this?", "What color is it?", "Name the colour.", "Colour?", "What color is the shape?")), thing[0])


def several(draw: Draw):
    """Several questions about one image, so that it is looked at more than once."""
    effort = draw.effort(0.06)
    high = effort == "high"
    if draw.chance(0.25):
        image, bars = chart(draw)
        turns = [(draw.text(BARS), ", ".join(f"{colour} {value}" for colour, value in bars)), (draw.text(NUM_BARS), str(len(bars)))]
        turns += [(draw.text(BAR, c=colour), str(value)) for colour, value in bars]
        values = [value for _, value in bars]
        turns += [(draw.text(asking), bars[values.index(wanted)][0]) for asking, wanted in ((TALLEST, max(values)), (SHORTEST, min(values))) if values.count(wanted) == 1]
    else:
        things = different(draw, draw.int(2, 5))
        image, cells = scene(draw, len(things), things)
        turns = [(draw.text(GRID), grid_text(cells)), (draw.text(LIST), list_text(cells)), (draw.text(COUNT), str(len(things)))]
        for colour, shape in things:
            where = position(cells.index((colour, shape)))
            turns.append(draw.pick(((draw.text(COLOUR_OF, s=shape), colour), (draw.text(SHAPE_OF, c=colour), shape), (draw.text(WHERE, t=shape), where), (draw.text(WHERE, t=f"{colour} {shape}"), where),
                                    (draw.text(AT, p=where), f"{colour} {shape}"), (draw.text(EXISTS, t=f"{colour} {shape}"), "Yes"))))
        one, two = draw.some(things, 2)
        if draw.chance(0.3):
            turns.append((draw.text(EXISTS, t=f"{one[0]} {two[1]}"), "No"))
        (y1, x1), (y2, x2) = divmod(cells.index(one), 3), divmod(cells.index(two), 3)
        if x1 != x2:
            turns.append((draw.text(SIDE, a=one[1], b=two[1]), "left" if x1 < x2 else "right"))
        if y1 != y2:
            turns.append((draw.text(HEIGHT, a=one[1], b=two[1]), "above" if y1 < y2 else "below"))
    turns = draw.shuffled(turns)[:draw.int(2, 6)]
    messages = []
    for index, (question, answer) in enumerate(turns[:-1]):
        messages += [user(question, 0) if index == 0 else user(question), assistant(answer, "I look at the image." if high else None)]
    question, answer = turns[-1]
    messages.append(user(question))
    return sample("images", "several", effort, messages, answer, {"equals": answer}, thinking="I look at the image.", images=[image])


OTHER = ("Who painted this?", "Write a poem about this picture.", "How old is this picture?", "Where was this photo taken?", "What is the person in the picture doing?", "How much is this worth?", "Tell me a story about this image.", "Who is in the photo?",
         "What is the mood of this picture?", "Is this art?", "Do you like this picture?", "Make this image larger.", "Translate the text in the image.", "What breed is this dog?", "Is this mushroom safe to eat?", "What car is this?", "Which city is this?",
         "Turn this into a cartoon.", "What is wrong with my plant?", "Give this picture a title.")


def other(draw: Draw):
    """A question that no image here answers."""
    image, _ = scene(draw, draw.int(1, 5))
    return asked(draw, "other", image, draw.text(OTHER), HONEST["en"], {"honest": True}, "This is outside of what I can do.")


KINDS = {
    "several": (5.0, several), "other": (0.25, other), "grid": (3.0, grid), "list": (2.0, listing), "single": (1.0, single), "count": (2.0, counting), "attribute": (1.5, attribute), "place": (2.0, place), "relation": (1.0, relation), "exists": (0.7, exists), "bigger": (0.7, bigger),
    "digits": (2.0, reading), "chart": (1.3, bars_read), "bar": (1.5, bars_ask), "two": (1.3, two),
}
DENSE = ("several", "grid", "list", "chart", "digits", "single")
