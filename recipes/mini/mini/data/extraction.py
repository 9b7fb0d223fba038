"""JSON from a short text, to a schema that is given in words, as a list of keys, or as a JSON schema."""

import json
import re

from ..draw import Draw, sample, system, user
from ..words import (
    ANIMALS, CITIES, COLOURS, COMPANY_ENDS, COUNTRIES, CURRENCIES, DAYS, DEPARTMENTS, FIRST_NAMES, JOBS, LANGUAGES, MONTHS, PRODUCTS, SPORTS, SURNAMES,
)


def person(draw: Draw) -> str:
    form = draw.random.random()
    if form < 0.5:
        return f"{draw.word(FIRST_NAMES)} {draw.word(SURNAMES)}"
    if form < 0.8:
        return draw.word(FIRST_NAMES)
    return f"{draw.word(FIRST_NAMES)} {draw.invented().capitalize()}"


def company(draw: Draw) -> str:
    name = draw.invented().capitalize() if draw.chance(0.6) else draw.word(SURNAMES)
    return f"{name} {draw.word(COMPANY_ENDS)}"


def email(draw: Draw) -> str:
    host = draw.pick((draw.invented(), "example", "mail", "post", "work"))
    return f"{draw.word(FIRST_NAMES).lower()}{draw.pick(('', '.' + draw.word(SURNAMES).lower(), str(draw.int(1, 99))))}@{host}.{draw.pick(('com', 'org', 'net', 'de', 'fr', 'io'))}"


def phone(draw: Draw) -> str:
    return draw.pick(("555-{}{}{}{}", "0{}{} {}{}{}{}", "+{}{} {}{}{} {}{}{}")).format(*(draw.int(1, 9) for _ in range(8)))


def clock(draw: Draw) -> str:
    return f"{draw.int(7, 22):02d}:{draw.pick(('00', '15', '30', '45', '10', '20', '05'))}"


def iso_date(draw: Draw) -> str:
    return f"20{draw.int(10, 39)}-{draw.int(1, 12):02d}-{draw.int(1, 28):02d}"


def money(draw: Draw):
    return draw.int(1, 999) if draw.chance(0.6) else draw.int(1, 99) + draw.pick((0.5, 0.25, 0.75, 0.99, 0.95, 0.2))


# name -> (type, draw a value, ways to say it; {v} the value, {s} the subject). Several names may share the ways.
FIELDS = {
    "age": ("integer", lambda d: d.int(18, 95), ("{s} is {v} years old.", "{s}, aged {v}, is here.", "{s} turned {v} this year.", "At {v}, {s} is still active.", "{s} is {v}.")),
    "city": ("string", lambda d: d.word(CITIES), ("{s} lives in {v}.", "{s} is based in {v}.", "{s} comes from {v}.", "The home of {s} is {v}.", "{s} has a flat in {v}.")),
    "country": ("string", lambda d: d.word(COUNTRIES), ("{s} was born in {v}.", "{s} is a citizen of {v}.", "The home country of {s} is {v}.")),
    "job": ("string", lambda d: d.word(JOBS), ("{s} works as a {v}.", "{s} is a {v}.", "By profession {s} is a {v}.", "{s} has been a {v} for years.")),
    "company": ("string", company, ("{s} works for {v}.", "{s} is employed at {v}.", "The employer of {s} is {v}.", "{s} joined {v}.")),
    "department": ("string", lambda d: d.word(DEPARTMENTS), ("{s} is in the {v} department.", "{s} belongs to {v}.", "The department is {v}.")),
    "email": ("string", email, ("Write to {v}.", "The email address is {v}.", "{s} can be reached at {v}.", "Mail: {v}.", "{s} uses {v} for mail.")),
    "phone": ("string", phone, ("The phone number is {v}.", "Call {v}.", "Tel. {v}.", "Phone: {v}.", "You can call {s} on {v}.")),
    "language": ("string", lambda d: d.word(LANGUAGES), ("{s} speaks {v}.", "The language of {s} is {v}.")),
    "sport": ("string", lambda d: d.word(SPORTS), ("{s} plays {v}.", "In the free time {s} does {v}.", "{s} loves {v}.")),
    "pet": ("string", lambda d: d.word(ANIMALS), ("{s} has a pet {v}.", "{s} owns a {v}.", "There is a {v} at home.")),
    "favorite_color": ("string", lambda d: d.word(COLOURS), ("{s} likes {v}.", "The favourite colour is {v}.", "{s}'s favourite colour is {v}.")),
    "salary": ("integer", lambda d: d.int(18, 120) * 1000, ("{s} earns {v} a year.", "The salary is {v}.", "{s} is paid {v}.")),
    "children": ("integer", lambda d: d.int(1, 7), ("{s} has {v} children.", "There are {v} children in the family.")),
    "married": ("boolean", lambda d: d.chance(0.5), {True: ("{s} is married.", "{s} has a spouse."), False: ("{s} is not married.", "{s} is single.")}),
    "student": ("boolean", lambda d: d.chance(0.5), {True: ("{s} is a student.", "{s} still studies."), False: ("{s} is not a student.", "{s} has left school.")}),
}
ORDER = {
    "product": ("string", lambda d: d.word(PRODUCTS), ("The product is a {v}.", "{s} ordered a {v}.", "Item: {v}.", "It is about a {v}.", "{s} wants a {v}.", "One {v} was bought.")),
    "quantity": ("integer", lambda d: d.int(1, 60), ("The quantity is {v}.", "{v} pieces were ordered.", "Please send {v} of them.", "Quantity: {v}.", "{s} needs {v} units.")),
    "price": ("number", money, ("The price is {v}.", "It costs {v}.", "{v} is the price of one.", "Price: {v}.", "Each costs {v}.")),
    "currency": ("string", lambda d: d.pick(CURRENCIES), ("All prices are in {v}.", "Payment is in {v}.", "Currency: {v}.")),
    "order_id": ("string", lambda d: d.code(), ("The order number is {v}.", "Order {v}.", "Order id: {v}.", "It is order {v}.", "Reference {v}.")),
    "date": ("string", iso_date, ("It was placed on {v}.", "Date: {v}.", "The date is {v}.", "This was on {v}.")),
    "delivery_day": ("string", lambda d: d.pick(DAYS), ("It comes on {v}.", "Delivery is on {v}.", "Deliver it on {v}.")),
    "color": ("string", lambda d: d.word(COLOURS), ("The colour is {v}.", "It should be {v}.", "Colour: {v}.", "In {v}, please.")),
    "city": ("string", lambda d: d.word(CITIES), ("Ship it to {v}.", "It goes to {v}.", "Delivery to {v}.", "The parcel is for {v}.")),
    "paid": ("boolean", lambda d: d.chance(0.5), {True: ("It is paid.", "The bill has been paid.", "Payment is done."), False: ("It is not paid yet.", "The bill is open.", "Payment is missing.")}),
    "weight_kg": ("number", lambda d: d.int(1, 80), ("It weighs {v} kg.", "The weight is {v} kg.", "Weight: {v} kg.")),
    "email": FIELDS["email"],
    "phone": FIELDS["phone"],
}
EVENT = {
    "title": ("string", lambda d: f"{d.word(DEPARTMENTS)} {d.pick(('meeting', 'workshop', 'review', 'lunch', 'training', 'call'))}", ("There is a {v}.", "The {v} is coming.", "You are invited to the {v}.", "Event: {v}.")),
    "day": ("string", lambda d: d.pick(DAYS), ("It is on {v}.", "We meet on {v}.", "Day: {v}.", "It takes place on {v}.")),
    "month": ("string", lambda d: d.pick(MONTHS), ("It is in {v}.", "The month is {v}.")),
    "time": ("string", clock, ("It starts at {v}.", "Be there at {v}.", "Time: {v}.", "We begin at {v}.")),
    "date": ("string", iso_date, ("The date is {v}.", "It is on {v}.", "Date: {v}.")),
    "place": ("string", lambda d: d.word(CITIES), ("It is held in {v}.", "The place is {v}.", "We meet in {v}.", "Come to {v}.")),
    "room": ("integer", lambda d: d.int(1, 499), ("Use room {v}.", "It is in room {v}.", "Room: {v}.", "The room number is {v}.")),
    "organizer": ("string", person, ("{v} organizes it.", "The organizer is {v}.", "It was set up by {v}.", "Ask {v} about it.")),
    "duration_minutes": ("integer", lambda d: d.int(2, 36) * 5, ("It takes {v} minutes.", "It lasts {v} minutes.", "Length: {v} minutes.")),
    "participants": ("integer", lambda d: d.int(2, 90), ("{v} people will come.", "There are {v} participants.", "We expect {v} people.")),
    "online": ("boolean", lambda d: d.chance(0.5), {True: ("It is held online.", "You can join online."), False: ("It is not online.", "It is held on site only.")}),
}
TOPICS = (
    (FIELDS, "name", person, ("This is about {s}.", "Let me introduce {s}.", "Meet {s}.", "{s} is our new colleague.", "I met {s} yesterday.", "The person is called {s}.", "Name: {s}.")),
    (ORDER, "customer", person, ("{s} placed an order.", "The customer is {s}.", "We got an order from {s}.", "Customer: {s}.", "An order came in from {s}.")),
    (EVENT, "contact", person, ("The contact is {s}.", "{s} is the contact person.", "For questions see {s}.", "Contact: {s}.")),
)
# Sentences that hold several fields at once; {s} is the subject.
COMPACT = {
    "name": (
        "{s}, {age}, lives in {city} and works as a {job}.", "{s} ({age}) is a {job} from {city}.", "{s}, a {age}-year-old {job}, lives in {city}.", "My colleague {s} from {company} speaks {language} and plays {sport}.",
        "{s} is {age} and lives in {city}.", "{s} has been a {job} at {company} since last year; the salary is {salary}.", "I met {s}, who is {age} years old, has {children} children and comes from {country}.",
        "{s} moved from {country} to {city} to work as a {job}.", "{s} works at {company} in the {department} department. Mail: {email}, phone: {phone}.", "You can reach {s} by mail ({email}) or by phone ({phone}).",
        "At {age}, {s} still works as a {job} for {company} in {city}.", "Hello, I am {s}, {age} years old, from {city}. I speak {language}.", "{s} ({email}) works for {company}.", "{s} lives in {city} with a {pet} and {children} children.",
        "Our new {job} is {s}, {age}, from {country}.", "{s}; {job}; {city}; {phone}", "Name: {s}\nAge: {age}\nCity: {city}", "{s} | {job} | {company} | {email}", "{s} from {city} likes {sport} and the colour {favorite_color}.",
        "The {job} {s} was born in {country} and turned {age} last week.", "{s} earns {salary} a year as a {job} in {city}.",
    ),
    "customer": (
        "{s} ordered {quantity} pieces of {product} at {price} each.", "Please send {quantity} of the {product} to {s} in {city}, order {order_id}.", "{s} bought a {product} for {price}.", "{s} bought a {color} {product} for {price} {currency}.",
        "Order {order_id} from {s}: {quantity} x {product}.", "{s} wants {quantity} of the {color} {product}, delivered to {city} on {delivery_day}.", "On {date} {s} ordered a {product} for {price} {currency}.", "{s} paid {price} for {quantity} pieces of {product}.",
        "Customer: {s}\nItem: {product}\nQuantity: {quantity}\nPrice: {price}", "Order {order_id}, placed by {s} on {date}, goes to {city}.", "Dear shop, I am {s} and want to order {quantity} x {product} in {color}. My mail is {email}.",
        "{quantity} pieces of {product} for {s}, {price} each, ship to {city}.", "Invoice for {s}: {product}, {quantity} units, {price} {currency}.", "A {color} {product} ({weight_kg} kg) goes to {s} in {city}.", "{s} returned the {product} from order {order_id}. Phone: {phone}.",
    ),
    "contact": (
        "The {title} takes place in {place} on {day} at {time}; the contact is {s}.", "{title} on {day} at {time}, room {room}. Questions to {s}.", "Please come to the {title} on {date} at {time} in room {room}. Your contact is {s}.",
        "{s} invites {participants} people to the {title} in {place} on {day}.", "We meet on {day} at {time} for the {title}. It lasts {duration_minutes} minutes. Contact: {s}.", "{day}, {time}: {title} with {s} in {place}.",
        "In {month} there is a {title} in {place}. {s} knows more.", "The {title} starts at {time} and takes {duration_minutes} minutes, room {room}, contact {s}.", "Event: {title}\nDay: {day}\nTime: {time}\nContact: {s}", "{s} can tell you about the {title} on {date} in {place}.",
    ),
}
ASK = (
    "Extract {k} as JSON from this text: {t}", "{t}\n\nReturn a JSON object with the keys {k}.", "Give me JSON with {k}.\n\n{t}", "Extract JSON with the keys {k}.\nText: {t}",
    "Read the text and fill in a JSON object with {k}.\n{t}", "From the text, extract {k}. Answer in JSON only.\n\n{t}", "Text: {t}\nKeys: {k}\nJSON:", "Turn this into JSON ({k}): {t}",
    "Convert to JSON with fields {k}:\n{t}", "{t}\n\nExtract: {k}. Format: JSON.", "I need {k} from the following text, as a JSON object. {t}", "{t} -> JSON with {k}",
    "Pull {k} out of this note and answer as JSON: {t}", "Please write a JSON object with {k} for this text:\n{t}", "Parse this into JSON. Fields: {k}.\n\n{t}",
)
ASK_SCHEMA = (
    "Extract the data from the text as JSON that follows this schema: {k}\n\nText: {t}", "Schema: {k}\nText: {t}\nAnswer with JSON that fits the schema.", "{t}\n\nAnswer in JSON by this schema: {k}",
    "Fill this JSON schema from the text.\n{k}\n{t}", "JSON schema:\n{k}\n\nText:\n{t}", "Use the schema {k} and extract from: {t}",
)
SYSTEMS = (
    "You extract data. Answer only with JSON that has the keys {k}.", "Return only a JSON object with {k}.", "Reply in JSON with the keys {k}.", "You turn texts into JSON. Keys: {k}.",
    "Every answer is a JSON object with {k}.",
)
SYSTEM_SCHEMAS = ("Answer in JSON by this schema: {k}", "You extract data by this JSON schema: {k}", "Return JSON only. Schema: {k}")
NOISE = ("The weather was fine that day.", "Please handle this soon.", "Thanks in advance.", "We talked about it before.", "That is all for now.", "More details will follow.", "Have a nice day.", "It was a busy week.",
         "Sorry for the delay.", "See you soon.", "I hope this helps.")


def keys_in_words(draw: Draw, types: dict[str, str]) -> str:
    form = draw.int(0, 3)
    if form == 0:
        return ", ".join(f"{key} ({kind})" for key, kind in types.items())
    if form == 1:
        return ", ".join(f'"{key}"' for key in types)
    names = list(types)
    if form == 2 and len(names) > 1:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return ", ".join(names)


def compact(draw: Draw, fields: dict, subject_key: str, subject: str):
    """A text of one sentence, perhaps with one more, and the object it holds."""
    while True:
        template = draw.word(COMPACT[subject_key])
        told = re.findall(r"{(\w\w+)}", template)
        if all(key in fields for key in told):
            break
    values = {key: fields[key][1](draw) for key in told}
    text = template.format(s=subject, **values)
    rest = [key for key in fields if key not in told]
    if draw.chance(0.35):
        key = draw.pick(rest)
        values[key] = value = fields[key][1](draw)
        ways = fields[key][2]
        text += " " + draw.pick(ways[value] if isinstance(ways, dict) else ways).format(s=subject, v=value)
        told.append(key)
    if draw.chance(0.2):
        text += " " + draw.pick(NOISE)
    values[subject_key] = subject
    wanted = draw.shuffled([subject_key, *told])
    if draw.chance(0.5):
        wanted = [key for key in values if key in wanted]
    wanted = wanted[:draw.int(1, len(wanted)) if draw.chance(0.4) else len(wanted)]
    return text, wanted, values


def record(draw: Draw):
    """One text and the object it holds."""
    fields, subject_key, subject_of, openings = draw.pick(TOPICS)
    subject = subject_of(draw)
    if draw.chance(0.4):
        text, wanted, values = compact(draw, fields, subject_key, subject)
        types = {key: "string" if key == subject_key else fields[key][0] for key in wanted}
        return text, types, {key: values[key] for key in wanted}
    count = draw.int(1, 5)
    told = draw.some(list(fields), min(len(fields), count + draw.int(0, 2)))
    values, lines = {subject_key: subject}, []
    names = [subject, subject, subject.split()[0], draw.pick(("He", "She", subject.split()[0]))] if subject_key == "name" else [subject]
    for key in told:
        _, make, ways = fields[key]
        values[key] = value = make(draw)
        way = draw.pick(ways[value] if isinstance(ways, dict) else ways)
        if "{s}" not in way or way.startswith("{s} "):
            line = way.format(v=value, s=draw.pick(names))
        else:
            line = way.format(v=value, s=subject)
        lines.append(line)
    opening = draw.pick(openings).format(s=subject)
    lines = draw.shuffled(lines)
    if draw.chance(0.25):
        lines.insert(draw.int(0, len(lines)), draw.pick(NOISE))
    at = 0 if draw.chance(0.7) or subject_key == "name" else draw.int(0, len(lines))
    lines.insert(at, opening)
    wanted = draw.shuffled(told)[:count]
    if draw.chance(0.85):
        wanted.insert(draw.pick((0, 0, 0, len(wanted))), subject_key)
    types = {key: "string" if key == subject_key else fields[key][0] for key in wanted}
    return draw.pick((" ", " ", "\n")).join(lines), types, {key: values[key] for key in wanted}


LISTS = (  # key names, how the text says it, what the items are
    (("guests", "names", "people", "attendees", "participants", "members"), ("{l} came to the party.", "The guests are {l}.", "{l} will join us.", "We invited {l}.", "Present: {l}.", "The team has these members: {l}.", "Please add {l} to the list."), lambda d: d.word(FIRST_NAMES)),
    (("items", "products", "shopping_list", "goods", "articles"), ("Please buy {l}.", "We need {l}.", "The order has {l}.", "I packed {l}.", "On the list: {l}.", "The shop sells {l}."), lambda d: d.word(PRODUCTS)),
    (("cities", "stops", "places", "towns", "route"), ("We will visit {l}.", "The train stops in {l}.", "Our offices are in {l}.", "The tour goes through {l}.", "I have lived in {l}."), lambda d: d.word(CITIES)),
    (("colors", "colours"), ("It comes in {l}.", "The flag has {l}.", "I painted it {l}.", "You can choose between {l}."), lambda d: d.word(COLOURS)),
    (("animals", "pets"), ("We saw {l} in the zoo.", "The farm has {l}.", "There were {l}."), lambda d: d.word(ANIMALS)),
    (("scores", "numbers", "values", "points"), ("The scores were {l}.", "I measured {l}.", "The values are {l}.", "We counted {l}."), lambda d: d.int(0, 999)),
)


def list_record(draw: Draw):
    """A text with a list in it, and perhaps a name and a day."""
    keys, ways, make = draw.pick(LISTS)
    key, items = draw.pick(keys), []
    while len(items) < draw.int(2, 4):
        if (item := make(draw)) not in items:
            items.append(item)
    kind = "array of integers" if isinstance(items[0], int) else "array of strings"
    told = ", ".join(map(str, items[:-1])) + " and " + str(items[-1]) if draw.chance(0.7) else ", ".join(map(str, items))
    parts, types, found = [draw.pick(ways).format(l=told)], {key: kind}, {key: items}
    if draw.chance(0.5):
        name = person(draw)
        parts.append(draw.pick(("It was written by {}.", "{} told me.", "The author is {}.", "Responsible: {}.", "{} made the list.")).format(name))
        types["author"], found["author"] = "string", name
    if draw.chance(0.4):
        day = draw.pick(DAYS)
        parts.append(draw.pick(("It is for {}.", "This is about {}.", "The day is {}.")).format(day))
        types["day"], found["day"] = "string", day
    return " ".join(draw.shuffled(parts)), types, found


def property_of(kind: str) -> dict:
    if kind.startswith("array"):
        return {"type": "array", "items": {"type": kind.split()[-1].rstrip("s")}}
    return {"type": kind}


def extract(draw: Draw):
    text, types, found = list_record(draw) if draw.chance(0.12) else record(draw)
    # A key may get another name, so that names are read from the prompt and not learnt by heart.
    if draw.chance(0.25):
        renamed = {key: draw.pick(RENAMED.get(key, (key,))) for key in types}
        if draw.chance(0.2):
            renamed = {key: name.upper() if draw.chance(0.5) else "the_" + name for key, name in renamed.items()}
        if len(set(renamed.values())) == len(types):
            types = {renamed[key]: kind for key, kind in types.items()}
            found = {renamed[key]: value for key, value in found.items()}
    schema = {"type": "object", "properties": {key: property_of(kind) for key, kind in types.items()}, "required": list(types)}
    form = draw.random.random()
    if form < 0.5:
        kind, messages = "keys", [user(draw.text(ASK, t=text, k=keys_in_words(draw, types)))]
    elif form < 0.75:
        kind, messages = "schema", [user(draw.text(ASK_SCHEMA, t=text, k=json.dumps(schema)))]
    elif form < 0.9:
        kind, messages = "system", [system(draw.pick(SYSTEMS).format(k=keys_in_words(draw, types))), user(text)]
    else:
        kind, messages = "system_schema", [system(draw.pick(SYSTEM_SCHEMAS).format(k=json.dumps(schema))), user(text)]
    answer = json.dumps(found, ensure_ascii=False)
    strict = {**schema, "additionalProperties": False}
    response_format = {"type": "json_schema", "json_schema": {"name": "record", "schema": strict, "strict": True}}
    return sample("extraction", kind, draw.effort(0.1), messages, answer, {"json": found},
                  thinking=f"I fill in {', '.join(types)} from the text.", response_format=response_format)


RENAMED = {
    "name": ("full_name", "person", "who", "employee", "contact_name"), "age": ("years", "age_years", "how_old"), "city": ("town", "location", "place", "residence"),
    "country": ("nation", "birth_country", "origin"), "job": ("profession", "occupation", "role", "job_title"), "company": ("employer", "firm", "works_for", "organisation"),
    "department": ("dept", "division", "team"), "email": ("mail", "email_address", "e_mail"), "phone": ("tel", "phone_number", "telephone"), "language": ("speaks", "tongue"),
    "sport": ("hobby", "plays"), "pet": ("animal", "pet_kind"), "favorite_color": ("colour", "favourite_colour"), "salary": ("income", "pay", "yearly_pay"),
    "children": ("kids", "num_children"), "married": ("is_married", "has_spouse"), "student": ("is_student",), "product": ("item", "article", "goods", "product_name"),
    "quantity": ("amount", "count", "units", "qty"), "price": ("cost", "unit_price", "price_each"), "currency": ("currency_code", "money"), "order_id": ("order", "id", "order_number", "reference"),
    "date": ("day_of_order", "when", "on_date"), "delivery_day": ("weekday", "arrives"), "color": ("colour",), "paid": ("is_paid", "payment_done"), "weight_kg": ("weight", "kg"),
    "customer": ("client", "buyer", "name", "customer_name"), "title": ("event", "event_name", "subject"), "day": ("weekday", "on"), "time": ("start", "start_time", "begins_at"),
    "place": ("city", "venue", "location"), "room": ("room_number",), "organizer": ("host", "organiser"), "duration_minutes": ("length", "minutes", "duration"),
    "participants": ("people", "attendees", "num_people"), "online": ("is_online", "remote"), "contact": ("contact_person", "ask"),
}

KINDS = {"extract": (1.0, extract)}
