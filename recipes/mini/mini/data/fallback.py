"""Anything else: one honest sentence, whatever is asked."""

from ..draw import Draw, sample, user
from ..words import ANIMALS, CITIES, COUNTRIES, FIRST_NAMES, JOBS, NOUNS, PRODUCTS, SPORTS
from .talk import HONEST

TOPICS = (*ANIMALS, *CITIES, *COUNTRIES, *NOUNS, *PRODUCTS, *SPORTS, *JOBS)
ENGLISH = (
    "Write a poem about {t}.", "Tell me about {t}.", "Explain {t}.", "What is the history of {t}?", "Who invented the {t}?", "Write an essay on {t}.", "Why is the {t} important?", "How do I repair a {t}?", "Give me five facts about {t}.",
    "What do you think about {t}?", "How does a {t} work?", "Write a story about a {t} and a {u}.", "Compare {t} with {u}.", "What should I cook with {t}?", "Tell me a joke about {t}.", "Make a plan for a trip to {t}.", "Which {t} is the best?",
    "Sing a song about {t}.", "How can I learn more about {t}?", "Who is the president of {t}?", "When was {t} founded?", "What happened in {t} in {y}?", "Draw a {t}.", "Is a {t} better than a {u}?", "How old is {t}?", "Design a logo with a {t}.",
    "Give me advice about my {t}.", "Why do people like {t}?", "What is the meaning of {t}?", "Recommend a book about {t}.", "Who won the {t} cup in {y}?", "Summarize the history of {t}.", "Write a song about {t} in the style of {n}.",
)
FRENCH = ("Écris un poème sur {t}.", "Parle-moi de {t}.", "Explique-moi {t}.", "Raconte une histoire avec {t}.", "Qui a inventé {t} ?", "Pourquoi le ciel est-il bleu ?", "Quelle est l'histoire de {t} ?", "Donne-moi une recette.", "Que penses-tu de {t} ?",
          "Quand {t} a-t-il été fondé ?", "Quel temps fera-t-il demain ?", "Écris une lettre d'amour.", "Comment réparer {t} ?", "Qui a gagné le match ?")
SPANISH = ("Escribe un poema sobre {t}.", "Háblame de {t}.", "Explica {t}.", "Cuéntame una historia de {t}.", "¿Quién inventó {t}?", "¿Por qué el cielo es azul?", "¿Cuál es la historia de {t}?", "Dame una receta.", "¿Qué piensas de {t}?",
           "¿Cuándo se fundó {t}?", "¿Qué tiempo hará mañana?", "Escribe una carta de amor.", "¿Cómo se repara {t}?", "¿Quién ganó el partido?")


def topic(draw: Draw) -> str:
    return draw.word(TOPICS) if draw.chance(0.85) else draw.invented()


def templated(draw: Draw):
    language = draw.pick(("en", "en", "en", "en", "fr", "es"))
    phrasings = {"en": ENGLISH, "fr": FRENCH, "es": SPANISH}[language]
    question = draw.text(phrasings, t=topic(draw), u=topic(draw), y=draw.int(1500, 2030), n=draw.word(FIRST_NAMES))
    return sample("fallback", "template", draw.effort(0.12), [user(question)], HONEST[language], {"honest": True}, thinking="This is outside of what I can do.")


KINDS = {"template": (1.0, templated)}
