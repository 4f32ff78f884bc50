"""Makes small.model and settings.json: the ids that transformers' DebertaV2TokenizerFast gives our texts in each
setting of the files beside a vocabulary. `python make.py FOLDER` here, with transformers 4.57, sentencepiece and
protobuf; FOLDER holds the spm.model and tokenizer.json of microsoft/deberta-v3-base. See README.md."""

import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import sentencepiece
from transformers import DebertaV2TokenizerFast
from transformers.utils import logging

logging.set_verbosity_error()

TEXTS = [
    "", " ", "a", "Hello world!", "hello, WORLD", "Oh NO, [USER] is leaving: WHY?!",
    "I can't believe it's 3:30pm -- again...", "@user1 hi!!! #MondayMotivation", "  two  spaces  ", "tab\tand\nline\r\nends",
    "[USER]", "[USER][USER]", " [USER] ", "x [USER] y", "x[USER]y", "x  [USER]  y", "x\t[USER]\ny", "a_[USER]", "[USER]_a",
    "7[USER]", "[USER]s.", "([USER])", "é[USER]", "e\u0301[USER]", "\u00a0[USER]\u00a0", "[user] and [User]", "[ USER ]",
    "<url> http://a.bc/d?e=f&g <url>", "see <url>, <URL>.", "<url><url>", "not<url>able", "<e1>joy</e1> <E1>",
    "[MASK] [SEP] [CLS] [PAD] [UNK]", "a[MASK]b", "[mask] [sep] [unk]", "［ＵＳＥＲ］ ［MASK］", "Ünïcödé ÀÉÎ straße ẞ",
    "İstanbul ΣΑΣ ΟΔΟΣ", "ＦＵＬＬ ｗｉｄｔｈ！？", "¿Qué? ¡Sí! «oui» „ja“ “yes” ‘no’", "日本語。テキスト、です", "中文，标点；符号",
    "😀😢🤷🏽‍♀️ 👍🏿!", "½ ² Ⅷ ① ㎏ …", "$5.00 + 3^2 = `x` ~ |y| <z>", "co\u00adoperate zero\u200bwidth\u200djoin",
    "_under_score_ ‿ ＿", "don’t — won–t", "A.B.C. U.S.A.", "MiXeD CaSe WoRdS", "\ufeffmark ▁ ▁▁x", "the day. THE DAY!",
    "yesterday Yesterday YESTERDAY day", "good\u3000day  good   day", "العربية، مرحبا؟ ١٢٣", "हिन्दी। नमस्ते", "\u0000\u0001 control \u007f",
    "emo happy :) emo", "😀happy😀 emoji", "end with space [USER] ", "  [USER]", "a [USER]", "a<url> b", "a <url>b",
]  # fmt: skip


def token(content, **flags):
    plain = dict(content=content, lstrip=False, normalized=False, rstrip=False, single_word=False, special=False)
    return {**plain, **flags}


SPECIAL = {
    0: token("[PAD]", special=True), 1: token("[CLS]", special=True), 2: token("[SEP]", special=True),
    3: token("[UNK]", special=True, normalized=True),
}  # fmt: skip
MASK = token("[MASK]", special=True)


def decoder(first, *tokens):
    """An `added_tokens_decoder` of the special tokens, of [MASK], whose id is `first`, and of what follows it."""
    ids = {**SPECIAL, **{first + n: entry for n, entry in enumerate((MASK, *tokens))}}
    return {str(id): entry for id, entry in ids.items()}


def settings(first):
    """The files beside the vocabulary by setting; `first` is the first id after it."""
    config = lambda **fields: {"tokenizer_config.json": {"tokenizer_class": "DebertaV2Tokenizer", **fields}}
    added = lambda *tokens, **fields: config(added_tokens_decoder=decoder(first, *tokens), **fields)
    user = lambda **flags: token("[USER]", **flags)
    day = [token("day", normalized=True), token("Yesterday", normalized=True), token("<url>", normalized=True)]
    both = dict(do_lower_case=True, split_by_punct=True)
    map_file = lambda **fields: {"special_tokens_map.json": fields}
    legacy = {"added_tokens.json": {"[MASK]": first, "[USER]": first + 1, "<url>": first + 2}}
    return {
        "nothing beside it": {},
        "the hub's config": added(do_lower_case=False, split_by_punct=False),
        "do_lower_case": config(do_lower_case=True),
        "split_by_punct": config(split_by_punct=True),
        "both": config(**both),
        "a plain token": added(user()),
        "lstrip": added(user(lstrip=True), token("<url>", lstrip=True)),
        "rstrip": added(user(rstrip=True), token("<url>", rstrip=True)),
        "lstrip and rstrip": added(user(lstrip=True, rstrip=True), token("<url>", lstrip=True, rstrip=True)),
        "single_word": added(user(single_word=True), token("<url>", single_word=True), token("happy", single_word=True)),
        "single_word, lstrip and rstrip": added(token("happy", single_word=True, lstrip=True, rstrip=True), user(single_word=True, rstrip=True)),
        "normalized": added(*day, user(normalized=True)),
        "normalized, lstrip and rstrip": added(user(normalized=True, lstrip=True), token("day", normalized=True, rstrip=True)),
        "normalized and do_lower_case": added(*day, user(normalized=True), do_lower_case=True),
        "normalized and single_word and both": added(token("Day", normalized=True, single_word=True), user(), **both),
        "special": added(user(special=True), token("<url>", special=True, normalized=True)),
        "longest of several": added(token("<e1>"), token("<e1>joy</e1>"), token("😀"), token("😀😢")),
        "a piece of the vocabulary": added(token("▁the"), token("a", single_word=True)),
        "additional_special_tokens": config(additional_special_tokens=["[USER]", "<url>"]),
        "additional_special_tokens with flags": config(additional_special_tokens=[dict(user(lstrip=True), __type="AddedToken"), "<url>"]),
        "extra_special_tokens": config(extra_special_tokens={"user_token": "[USER]", "url_token": dict(token("<url>", rstrip=True), __type="AddedToken")}),
        "decoder and extra_special_tokens": added(user(rstrip=True), extra_special_tokens={"user_token": "[USER]", "url_token": "<url>"}, do_lower_case=True),
        "other special tokens": config(unk_token="<unk>", mask_token="<mask>", pad_token="[USER]"),
        "no mask": config(mask_token=None, additional_special_tokens=["[USER]"]),
        "mask with lstrip": config(mask_token=dict(token("[MASK]", lstrip=True), __type="AddedToken")),
        "added_tokens.json": legacy,
        "added_tokens.json and a map": {**legacy, **map_file(additional_special_tokens=["<url>"], mask_token="[MASK]", unk_token=token("[UNK]", normalized=True))},
        "added_tokens.json, a map and a config": {
            **legacy, **map_file(additional_special_tokens=[token("<url>", lstrip=True)], mask_token=token("[MASK]", rstrip=True)),
            **config(additional_special_tokens=["<e1>"], **both),
        },
        "a decoder without a mask": config(added_tokens_decoder={**{str(i): t for i, t in SPECIAL.items()}, str(first + 1): user()}),
        "a decoder with a gap": config(added_tokens_decoder={**decoder(first), str(first + 9): user()}),
    }  # fmt: skip


def ids(vocabulary, files):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(vocabulary, Path(folder) / ("tokenizer.json" if vocabulary.suffix == ".json" else "spm.model"))
        for name, content in files.items():
            (Path(folder) / name).write_text(content)
        tokenizer = DebertaV2TokenizerFast.from_pretrained(folder)
    return len(tokenizer), [tokenizer(text)["input_ids"] for text in TEXTS]


def main(base):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(3 * [text for text in TEXTS if "\u0000" not in text]), model_writer=model, vocab_size=400,
        model_type="unigram", normalization_rule_name="identity", hard_vocab_limit=False, character_coverage=0.98,
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
        user_defined_symbols=["emo", "<e1>"], control_symbols=["[CTRL]"], minloglevel=2,
    )  # fmt: skip
    Path("small.model").write_bytes(model.getvalue())
    first = {name: sentencepiece.SentencePieceProcessor(model_file=str(path)).get_piece_size() for name, path in
             {"small": Path("small.model"), "spm": base / "spm.model"}.items()}
    first["json"] = first["spm"]
    paths = {"small": Path("small.model"), "spm": base / "spm.model", "json": base / "tokenizer.json"}
    cases = []
    for vocabulary, path in paths.items():
        for name, files in settings(first[vocabulary]).items():
            # As texts, as the order of the fields matters.
            files = {name: json.dumps(file, ensure_ascii=False, separators=(",", ":")) for name, file in files.items()}
            count, all_ids = ids(path, files)
            cases.append(dict(vocabulary=vocabulary, setting=name, files=files, count=count, ids=all_ids))
    # Of each case only what differs from the first one of its vocabulary; tokenizer.json is the same vocabulary as spm.model.
    plain = {"small": cases[0]["ids"]}
    plain["spm"] = plain["json"] = next(case for case in cases if case["vocabulary"] == "spm")["ids"]
    for case in cases[1:]:
        usual = plain[case["vocabulary"]]
        if case["ids"] is not usual:
            case["ids"] = {place: ids for place, (ids, same) in enumerate(zip(case["ids"], usual)) if ids != same}
    lines = [json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases]
    texts = json.dumps(TEXTS, ensure_ascii=False)
    Path("settings.json").write_text('{"texts": ' + texts + ',\n"cases": [\n' + ",\n".join(lines) + "\n]}\n")


main(Path(sys.argv[1]))
