"""Text as a classification of the next word: the words of six novels, and a generated chain of words."""

import re
from functools import cache

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lossbook.checks import bad_value, check_count, check_generator, check_number
from lossbook.datasets._real import Dataset, austen

WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|--|[^\w\s]|_")  # a word with what is inside it, a dash, or one sign
BLOCK = 10_000  # words: of each block the last part is held out, so that every novel is in both parts


def austen_words(*, context: int = 3, test_fraction: float = 0.1) -> Dataset:
    """Jane Austen's six novels, word by word: what is the next word, given the last few?

    857,257 words and signs of punctuation, capitals kept, of 16,196 kinds in dictionary order. A few are everywhere and
    a third occur once. Nothing is shuffled: of every 10,000 words the last part is for testing.

    Args:
        context: how many words come before the one to guess.
        test_fraction: of each block of 10,000 words, held out.

    Returns:
        Features are the indices of the preceding words, (n, context), labels those of the next; `class_names` are the
        words. The words before a test word may be training words, and the other way round: they are given, not guessed.

    Raises:
        FileNotFoundError, TypeError, ValueError: the file is missing or damaged, or naming the argument.

    Example:
        >>> data = austen_words(context=3)
        >>> " ".join(data.class_names[k] for k in data.train_features[6]), data.class_names[data.train_labels[6]]
        ('CHAPTER I Emma', 'Woodhouse')
    """
    check_count("context", context)
    check_number("test_fraction", test_fraction, above=0, below=1)
    words, tokens = _austen_tokens()
    return next_word("austen_words", tokens, words, context=context, test_fraction=test_fraction)


@cache
def _austen_tokens() -> tuple[tuple[str, ...], Tensor]:
    found = WORD.findall(austen())
    words, tokens = np.unique(np.array(found), return_inverse=True)
    return tuple(words.tolist()), torch.from_numpy(tokens.astype(np.int64))


def next_word(
    name: str,
    tokens: Int[Tensor, " tokens"],
    words: tuple[str, ...],
    *,
    context: int = 1,
    test_fraction: float = 0.1,
) -> Dataset:
    """A text as examples of (preceding words, next word); of every 10,000 words the last part is for testing.

    A shorter text is one block.

    Args:
        name: of the data set.
        tokens: the text, as indices of words.
        words: all words; their number is the number of classes.
        context: how many words come before the one to guess.
        test_fraction: of each block of 10,000 words, held out.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> data = next_word("count", torch.arange(10), tuple("abcdefghij"), context=2, test_fraction=0.2)
        >>> data.train_features[0].tolist(), int(data.train_labels[0]), data.test_labels.tolist()
        ([0, 1], 2, [8, 9])
    """
    check_count("context", context)
    check_number("test_fraction", test_fraction, above=0, below=1)
    if not isinstance(tokens, Tensor) or tokens.ndim != 1 or len(tokens) <= context:
        raise bad_value("tokens", tokens, f"more than {context} indices of words, shape (tokens,)")
    labels = tokens[context:]
    features = torch.stack([tokens[k : len(tokens) - context + k] for k in range(context)], 1)
    block = min(BLOCK, len(tokens))
    held_out = torch.arange(context, len(tokens)) % block >= round(block * (1 - test_fraction))
    train = ~held_out
    return Dataset(name, features[train], labels[train], features[held_out], labels[held_out], words)


def zipf_text(
    tokens: int,
    words: int,
    *,
    habits: int = 10,
    habit: float = 0.7,
    exponent: float = 1.0,
    generator: torch.Generator,
) -> Int[Tensor, " tokens"]:
    """A text with the statistics of language and none of its sense: Zipf's frequencies, and words that follow words.

    Word k has the frequency p_k ∝ 1/(k + 1)^exponent. Each word has a few others that habitually follow it, drawn once
    from p. With probability `habit` the next word is one of these, the i-th with weight 1/(i + 1); else it is drawn
    from p.

    Args:
        tokens: length of the text.
        words: size of the vocabulary, at least 2.
        habits: how many words habitually follow each.
        habit: in [0, 1]; 0 makes the words independent.
        exponent: of Zipf's law, at least 0.
        generator: source of habits and text.

    Returns:
        Indices of words.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> text = zipf_text(20_000, 1000, habit=0.0, generator=torch.Generator().manual_seed(0))
        >>> shares = text.bincount(minlength=1000) / 20_000
        >>> round(float(shares[0] / shares[9]))                # the first word ten times as often as the tenth
        10

    Reference: Zipf 1935 (the law).
    """
    check_count("tokens", tokens)
    check_count("words", words, least=2)
    check_count("habits", habits)
    check_number("habit", habit, at_least=0, at_most=1)
    check_number("exponent", exponent, at_least=0)
    check_generator(generator)
    frequency = torch.arange(1, words + 1, dtype=torch.float64).pow(-exponent)
    steps = frequency.cumsum(0) / frequency.sum()

    def draw(*shape: int) -> Tensor:
        uniform = torch.rand(shape, dtype=torch.float64, generator=generator, device=generator.device).cpu()
        return torch.searchsorted(steps, uniform).clamp_(max=words - 1)

    followers = draw(words, habits)
    weights = 1 / torch.arange(1, habits + 1, dtype=torch.float64)
    which = torch.multinomial(weights.to(generator.device), tokens, replacement=True, generator=generator).cpu()
    by_habit = torch.rand(tokens, dtype=torch.float64, generator=generator, device=generator.device).cpu() < habit
    text = draw(tokens).tolist()  # a chain is drawn one word after the other, and lists are quicker at that
    rows = followers.tolist()
    for t, (is_habit, i) in enumerate(zip(by_habit.tolist()[1:], which.tolist()[1:], strict=True), start=1):
        if is_habit:
            text[t] = rows[text[t - 1]][i]
    return torch.tensor(text)
