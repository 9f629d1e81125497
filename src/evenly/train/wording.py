"""The verdict in words: one paragraph per pair of arms, what explains it, and what it does not show."""

from __future__ import annotations

from evenly.train.result import COMMON, COST, RARE, SPEED, Answer, ArmPair, VariantResult
from evenly.words import in_figures, millions

_HELD_OUT = {
    "lower": "better",
    "higher": "worse",
    "no difference": "no difference within noise",
    "cannot be told": "cannot be told from noise",
}


def verdict_paragraphs(
    variants: list[VariantResult], *, proxy: bool, parameters: int, model: str
) -> list[str]:
    """One paragraph for each pair at each point of the axes, the even arm's first, then the caution about the model."""
    paragraphs = []
    for variant in variants:
        where = f"[{variant.variant}] " if len(variants) > 1 else ""
        pairs = sorted(variant.pairs, key=lambda pair: pair.first != "uniform")
        paragraphs += [where + _pair_paragraph(pair, variant) for pair in pairs if pair.answers]
        paragraphs += [where + words for words in [_not_learnt(variant)] if words]
        if variant.failed:
            paragraphs.append(f"{where}Not finished, and in no figure above: {'; '.join(variant.failed)}.")
    paragraphs.append(_caution(proxy, parameters, model))
    return paragraphs


def left_out_paragraph(pool_rows: int, near_test: int, beyond_window: int, window: int) -> str:
    """Which rows of the pool were not trained on, or nothing where all were."""
    parts = []
    if near_test:
        parts.append(f"{near_test:,} lie too near a test row and are in no arm")
    if beyond_window:
        parts.append(
            f"{beyond_window:,} have no response within the first {window} tokens and are in no arm and no test "
            "(a wider window takes longer rows)"
        )
    return f"Of the {pool_rows:,} rows of the pool, {' and '.join(parts)}." if parts else ""


def seeds_paragraph(seeds: int, level: float, settled: bool) -> str:
    """How many seeds a comparison took that adds them until its verdict is called."""
    ended = "each pair had its answer" if settled else "some pairs had no answer yet"
    return (
        f"Seeds were added one by one: after {seeds}, {ended}. Differences are judged by e-values, which may be looked "
        f"at after every seed: two equal arms are called different in at most {100 * level:g} % of comparisons, "
        "however often one looks and whenever one stops."
    )


def trimmed_paragraph(kept: int, of: int, mass: float) -> str:
    """What a trimmed vocabulary left out."""
    return (
        f"The vocabulary was trimmed to the {kept:,} of {of:,} tokens that the pool holds. Where an answer token is "
        f"predicted, the whole model gives the others {100 * mass:.1f} % of the probability together, so losses lie "
        "lower than its own; all arms share this."
    )


def _pair_paragraph(pair: ArmPair, variant: VariantResult) -> str:
    sentences = [f"{pair.first} against {pair.second}: {_speed_words(pair)}"]
    sentences += [_test_words(pair, question) for question in (COMMON, RARE)]
    sentences += [_fewer_rows(pair, variant), _easier_rows(pair, variant), _traded(pair), _cost(pair)]
    if all(answer.seeds < 2 for answer in pair.answers):
        sentences.append("One seed tells nothing about noise: use 3 seeds or more.")
    return " ".join(sentence for sentence in sentences if sentence)


def _not_learnt(variant: VariantResult) -> str:
    """The loss may fall without anything being learnt: under l2 by shrinking logits alone."""
    if not variant.arms:
        return ""
    ends = {arm.arm: sum(arm.random_test_accuracy) / len(arm.random_test_accuracy) for arm in variant.arms}
    start = max((arm.start_accuracy for arm in variant.arms), default=0.0)
    if any(end > start for end in ends.values()):
        return ""
    told = ", ".join(f"{arm} {100 * end:.1f} %" for arm, end in ends.items())
    return (
        f"No arm predicts more of the random test's tokens right than before training ({100 * start:.1f} %; after it "
        f"{told}). Where a loss fell all the same, it fell without better predictions, as l2 does when all "
        "logits shrink towards 0 (its value is then one over the vocabulary): speed to such a loss is not "
        "speed of learning."
    )


def _speed_words(pair: ArmPair) -> str:
    answer = pair.answer(SPEED)
    if answer is None or answer.value is None:
        return "speed could not be compared."
    figure = f"{answer.value:.2f} times the steps to the same loss on its own rows{_interval(answer)}"
    if answer.standard_error == 0.0 and answer.value == 1.0:
        return "no difference in speed: the curves on their own rows are the same."
    if answer.called == "cannot be told":
        return f"{figure}, from one seed: cannot be told from noise."
    if answer.called == "no difference":
        least = (
            f"; {answer.seeds} seeds could tell a factor of {answer.detectable:.2f} or more from noise"
            if answer.detectable
            else ""
        )
        return f"no difference within noise in speed ({figure}{least})."
    return f"{'faster' if answer.called == 'lower' else 'slower'}, {figure}."


def _test_words(pair: ArmPair, question: str) -> str:
    answer = pair.answer(question)
    if answer is None or answer.value is None:
        return ""
    place = question.removesuffix(" at equal steps")
    figure = f"{in_figures(answer.value, 3, '+')} a token{_interval(answer)}"
    return f"On the {place} at equal steps: {_HELD_OUT[answer.called]} ({figure})."


def _interval(answer: Answer) -> str:
    if answer.low is None or answer.high is None:
        return ""
    if answer.scale == "ratio":
        return f" (95 %: {answer.low:.2f} to {answer.high:.2f})"
    return f", 95 %: {in_figures(answer.low, 3, '+')} to {in_figures(answer.high, 3, '+')}"


def _fewer_rows(pair: ArmPair, variant: VariantResult) -> str:
    """Faster than the full set, but so is a random set of its size."""
    random = variant.pair(pair.first, "random")
    if pair.second != "full" or pair.called(SPEED) != "lower":
        return ""
    if random is None or random.called(SPEED) == "lower":
        return ""
    name = _speed_name(random)
    return f"It is faster only because it has fewer rows: against as many random rows it is {name}."


def _easier_rows(pair: ArmPair, variant: VariantResult) -> str:
    """Faster or slower than random rows, but not than random rows as easy and as long as its own."""
    called, matched = pair.called(SPEED), variant.pair(pair.first, "matched")
    if pair.second != "random" or called not in ("lower", "higher"):
        return ""
    if matched is None or matched.called(SPEED) == called:
        return ""
    speed, rows = ("faster", "easier") if called == "lower" else ("slower", "harder")
    return (
        f"It is {speed} only because its rows are {rows}: against random rows of the same initial loss and "
        f"response length it is {_speed_name(matched)}."
    )


def _traded(pair: ArmPair) -> str:
    common, rare = pair.called(COMMON), pair.called(RARE)
    if (common, rare) == ("higher", "lower"):
        return "It gained on rare regions (even test) what it lost on common ones (random test)."
    if (common, rare) == ("lower", "higher"):
        return "It gained on common regions (random test) and lost on rare ones (even test)."
    return ""


def _cost(pair: ArmPair) -> str:
    cost = pair.answer(COST)
    if cost is None or cost.value is None or cost.value < 1.0 or pair.called(SPEED) != "lower":
        return ""
    return (
        f"Counting embedding and selecting it took {cost.value:.2f} times as long: at this size the steps "
        "saved did not pay for choosing them."
    )


def _speed_name(pair: ArmPair) -> str:
    return {"higher": "slower", "lower": "faster"}.get(pair.called(SPEED), "no different within noise")


def _caution(proxy: bool, parameters: int, model: str) -> str:
    size = millions(parameters)
    if not proxy:
        return f"Measured with {model} ({size} parameters); another model may answer differently."
    return (
        f"Measured with the default proxy of {size} parameters. Such a model can show the data's side: how "
        "hard, how long and how varied the rows of each arm are, and which regions they cover. The size of a "
        "speed-up, and whether a large pretrained model that knows most rows already shows it at all, do not "
        "transfer: repeat with a pretrained model before relying on it."
    )
