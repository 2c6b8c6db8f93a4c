"""Texts of added rules, from which the tests make theirs."""

from __future__ import annotations

HEAD = 'id = "house"\ntitle = "House rules"\nwhy = "We agreed on them."\n'
BODY = (
    '[criteria.card]\nquestion = "Is a card written?"\nwhy = "It is found again."\ngap = "no card"\n'
    'remedy = "Write one."\nimpact = 2\neffort = 1\nrequired = true\n'
)
GOOD = f'{HEAD}{BODY}met = [{{ call = "*write_card" }}]\n'


def met(signal: str) -> str:
    return f"{HEAD}{BODY}met = [{signal}]\n"
