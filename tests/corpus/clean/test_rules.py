from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.clean import clean_table, clean_text
from airflow_provider_autoglm.corpus.clean.translation import translate
from airflow_provider_autoglm.settings import CleanSettings
from airflow_provider_autoglm.settings.clean import whole_line
from airflow_provider_autoglm.settings.clean_rules import RULE_SETS, Rule, rule_names, rules_of, selected_rules

RULES = [rule for name in RULE_SETS for rule in rules_of(name)]
BODY = "The river rose during the night, and by the morning the whole valley stood under water."

DROPPED = {
    "cookie_notice": ["This website uses cookies to ensure you get the best experience.", "Accept all cookies"],
    "share_buttons": ["Share this article", "Share on Facebook", "Facebook Twitter LinkedIn", "FOLLOW US:"],
    "read_more": ["Read more »", "Learn More", "Continue reading…", "Read the full story"],
    "skip_link": ["Skip to main content", "Back to top ↑", "Toggle navigation"],
    "navigation_crumbs": ["Home > Documentation > Manual", "You are here: Home"],
    "pager": ["« Previous", "Next page →", "previous | next | index |", "Page 2 of 17"],
    "newsletter": ["Sign up for our free weekly newsletter!", "Enter your email address"],
    "site_links": ["Privacy Policy | Terms of Use | Contact us", "Log in / Register"],
    "copyright_line": ["© 2024 Example Ltd. All rights reserved.", "Copyright (c) 1999-2001 A. B. All Rights Reserved"],
    "advertisement": ["ADVERTISEMENT", "Article continues after advertisement"],
    "related_story": ["READ MORE: What the flood left behind", "Most read", "Editors' picks"],
    "agency_credit": ["Reporting by A. Writer in Rome; Editing by B. Editor", "Photo: A. Grapher/Getty Images"],
    "follow_the_author": ["Follow the BBC on Twitter", "12 comments", "Sign up here for our daily briefing"],
    "publication_time": ["Published on 3 May 2024 10:15 GMT", "4 min read"],
    "quoted_line": ["> I do not think so", ">> Nor do I"],
    "quote_header": ["On Tue, 5 Mar 2024 at 10:11, Ann <ann@example.org> wrote:", "Originally Posted by Ann"],
    "device_signature": ["Sent from my phone", "发自我的手机"],
    "member_data": ["Joined: Mar 2009", "Senior Member"],
    "edit_mark": ["Last edited by Ann; 03-05-2024 at 10:11 AM.", "(edited)"],
    "post_buttons": ["Reply Quote Report", "17 likes", "#12"],
    "zh_share": ["分享到:微信 微博 QQ空间", "微信扫一扫", "收藏 点赞 转发"],
    "zh_pager": ["上一篇:河水上涨", "上一页 下一页", "返回列表"],
    "zh_crumbs": ["您现在的位置:首页 > 新闻 > 正文", "当前位置:首页", "首页 > 新闻"],
    "zh_read_more": ["阅读全文 >>", "展开全文", "查看更多"],
    "zh_editor": ["(责任编辑:王小明)", "编辑:李四"],
    "zh_copyright": ["版权所有 某某网 2024", "未经授权不得转载", "京ICP备12345678号"],
    "zh_related": ["相关阅读:", "猜你喜欢"],
    "zh_comments": ["网友评论(12)", "12条评论", "阅读:1234"],
    "zh_app": ["下载某某新闻客户端", "登录 | 注册", "关注官方公众号"],
}
STAYING = [
    BODY,
    "Cookies are small files that a browser keeps for a site.",
    "Home is where the heart is > or so they say.",
    "/home/user/files",
    "Share",
    "Next, open the valve.",
    "The next page of the manual says more.",
    "Read more books.",
    "Print",
    "index",
    "Terms of Use",
    "In 2024 all rights reserved for residents were lifted.",
    "Follow the river to the bridge.",
    "He wrote: nothing.",
    "河水在夜里上涨,到早晨整个山谷都被淹没。",
    "首页设计要简洁明了。",
    "编辑器支持多种语言。",
    "他在评论里写道,版本更新后速度更快。",
    "分享会将在周五举行。",
]
REJECTED = {
    "javascript_required": ["Please enable JavaScript to use this site."],
    "bot_check": ["Verify you are human by completing the action below."],
    "error_page": ["404 Not Found\nnginx", "Error 503 Service Unavailable\nTry later.", "Page not found\nSorry."],
    "placeholder_text": ["Lorem ipsum dolor sit amet, consectetur adipiscing elit."],
    "paywall": ["The river rose. Subscribe to continue reading"],
    "deleted_post": ["[deleted]", "This post has been removed by a moderator."],
    "zh_error_page": ["抱歉,您访问的页面不存在", "404 页面找不到"],
    "zh_bot_check": ["请完成安全验证后继续访问"],
}
PASSING = [
    BODY,
    "The server answers 404 Not Found if there is no such page.",
    "404 is the number of a page that is not there, and a joke among those who write pages.",
    "The page says: please verify the number of the order.",
    "My access has been denied twice, and nobody tells me why.",
    "他说页面不存在的问题已经解决。",
]


def with_every_set(**changes: object) -> CleanSettings:
    return CleanSettings.parse({"rules": RULE_SETS, "min_chars": 1, **changes})


def test_every_rule_has_a_name_of_its_own_and_says_what_it_is_for() -> None:
    assert len(set(rule_names())) == len(RULES)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", rule.name) and len(rule.reason) > 10 for rule in RULES)


def test_the_documentation_names_every_rule() -> None:
    page = (Path(__file__).parents[3] / "docs" / "concepts" / "pipeline.md").read_text()

    assert [rule.name for rule in RULES if f"`{rule.name}`" not in page] == []


def test_every_rule_has_an_example() -> None:
    examples = {*DROPPED, *REJECTED, "heading_anchor", "wiki_edit_link", "agency_dateline"}

    assert examples == set(rule_names())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_built_in_pattern_is_the_same_to_re2_and_to_python(rule: Rule) -> None:
    known = translate(whole_line(rule.pattern) if rule.kind == "drop_line" else rule.pattern)

    assert known.python is not None
    assert known.re2 is not None
    assert (known.has_boundary, known.folds_case, known.takes_nothing) == (False, False, False)
    assert known.re2 == known.python.pattern
    assert rule.kind != "drop_line" or not known.python.search("\n")


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in DROPPED.items() for line in lines])
def test_a_line_that_is_no_text_goes_and_the_rule_is_counted(name: str, line: str) -> None:
    rule_set = next(each for each in RULE_SETS if name in {rule.name for rule in rules_of(each)})
    table = pa.table({"doc_id": ["a"], "text": [f"{line}\n\n{BODY}\n{line}"], "lang": ["en"]})
    outcome = clean_table(table, CleanSettings(rules=(rule_set,)))

    assert outcome.kept["text"].to_pylist() == [BODY]
    assert outcome.counts == {f"changed/{name}": 1}


@pytest.mark.parametrize("line", STAYING)
def test_a_line_that_says_something_stays(line: str) -> None:
    text = f"{BODY}\n{line}"

    assert clean_text(pa.array([text]), with_every_set(unicode_form="NFC")).to_pylist() == [text]


@pytest.mark.parametrize("line", ["Accept all cookies", "上一页", "Read more"])
def test_a_text_of_one_line_is_no_page(line: str) -> None:
    assert clean_text(pa.array([line]), with_every_set()).to_pylist() == [line]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Installation¶\nRun pip. ¶", "Installation\nRun pip."),
        ("History [edit]\nIn 1900 [Bearbeiten | Quelltext bearbeiten] it was small.", "History\nIn 1900 it was small."),
        ("ROME (Reuters) - The river rose.", "ROME The river rose."),
        ("see ¶ 12 and git remote [add|edit]", "see ¶ 12 and git remote [add|edit]"),
    ],
)
def test_replacements_of_the_built_in_sets(text: str, clean: str) -> None:
    assert clean_text(pa.array([text]), with_every_set()).to_pylist() == [clean]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in REJECTED.items() for text in texts])
def test_a_page_that_is_no_text_is_put_aside_with_the_name_of_the_rule(name: str, text: str) -> None:
    table = pa.table({"doc_id": ["a"], "text": [text]})

    assert clean_table(table, with_every_set()).rejected["reason"].to_pylist() == [name]
    assert clean_table(table, with_every_set(disable=[name])).rejected.num_rows == 0
    rule = next(rule for rule in RULES if rule.name == name)
    assert rule.max_chars is not None
    long = pa.table({"doc_id": ["a"], "text": [f"{text}\n{'x y z ' * rule.max_chars}"], "lang": ["en"]})
    assert clean_table(long, with_every_set(max_repeated_phrases=1)).rejected.num_rows == 0


@pytest.mark.parametrize("text", PASSING)
def test_a_text_that_speaks_of_such_pages_is_kept(text: str) -> None:
    assert clean_table(pa.table({"doc_id": ["a"], "text": [text]}), with_every_set()).rejected.num_rows == 0


def test_sets_are_chosen_by_name_and_rules_switched_off_by_theirs() -> None:
    text = pa.array([f"{BODY}\nAccept all cookies\n上一页\nRead more"])

    assert clean_text(text, CleanSettings(rules=())).to_pylist() == text.to_pylist()
    assert clean_text(text, CleanSettings(rules=("zh",))).to_pylist() == [f"{BODY}\nAccept all cookies\nRead more"]
    assert clean_text(text, CleanSettings(disable=("read_more",))).to_pylist() == [f"{BODY}\n上一页\nRead more"]
    names = [rule.name for rule in selected_rules(("web", "news", "web"), ("pager",))]
    assert len(names) == len(set(names)) == len(rules_of("web")) + len(rules_of("news")) - 1
