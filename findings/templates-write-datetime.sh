#!/usr/bin/env bash
# A chat template writes "<datetime>" in place of a turn whose content is a time, without an error.
#
# Guess: the template writes it as Jinja does (2024-01-02 00:00:00), or adding it to a text raises, as in Jinja.
# Seen: transformers hands templates the name of the type in angle brackets. "<user>" + content, content | trim and
#   {{ content }} all give "<datetime>", a day gives "<date>". Plain Jinja gives the time, and raises for "+".
# For our users: load_dataset makes times of answers that are dates (date-answers-rewritten.sh), so a trainer that
#   loads such a file trains on one and the same word, "<datetime>", in every row.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q transformers==5.23.0 jinja2==3.1.6
export HF_HUB_OFFLINE=1 HF_HOME="$work/home"
nice -n 10 venv/bin/python - <<'PY'
import sys
from datetime import date, datetime

import jinja2
import transformers
from tokenizers import Tokenizer, models

print(f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}")
tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
)
TEMPLATES = ("{{ messages[0].content }}", "{{ messages[0].content | trim }}", "{{ '=' + messages[0].content }}")


def by_jinja(template, turns):
    try:
        return jinja2.Environment().from_string(template).render(messages=turns)
    except TypeError:
        return "TypeError"


seen = []
for content in (datetime(2024, 1, 2), date(2024, 1, 2)):
    for template in TEMPLATES:
        turns = [{"role": "user", "content": content}]
        tokenizer.chat_template = template
        seen.append((tokenizer.apply_chat_template(turns, tokenize=False), by_jinja(template, turns)))
        print(f"{template:36}{seen[-1][0]:14}plain Jinja: {seen[-1][1]}")
expected = [(f"{mark}<{name}>", plain) for name, text in (("datetime", "2024-01-02 00:00:00"), ("date", "2024-01-02"))
            for mark, plain in (("", text), ("", text), ("=", "TypeError"))]
sys.exit(seen != expected)
PY
