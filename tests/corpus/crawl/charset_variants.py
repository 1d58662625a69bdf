"""Pages in the charsets of the world whose servers say the wrong thing about them, or nothing."""

# ruff: noqa: RUF001  # the punctuation of these languages is what is tested
from __future__ import annotations

from dataclasses import dataclass

CHINESE = "这是一个用来测试字符编码的简体中文句子，应该可以正确读取，包括很少用的㐀和䶵这样的汉字。"
TAIWANESE = "這是一個用來測試字元編碼的繁體中文句子，應該可以正確地讀取，包括標點符號在內。"
JAPANESE = "これは文字コードを確かめるための日本語の文章です。正しく読めることを期待しています。"
KOREAN = "한국어로 쓰인 이 문장은 문자 집합을 시험하기 위한 것이며 올바르게 읽혀야 합니다."
RUSSIAN = "Это предложение проверяет, что кодировка страницы определяется правильно, без ошибок."
GERMAN = "Die Größe der Straße überrascht „viele“ Gäste – schöne Grüße aus Köln für nur 5 €."
FRENCH = "L’été dernier, des élèves français ont mangé des gâteaux près de l’hôtel où naquit Hélène."


@dataclass(frozen=True)
class Variant:
    """A page that says ``sentence`` in ``charset``, served as ``content_type``, with ``declared`` in a meta element."""

    name: str
    sentence: str
    charset: str
    content_type: str = "text/html"
    declared: str = ""

    @property
    def body(self) -> bytes:
        meta = f'<meta charset="{self.declared}">' if self.declared else ""
        html = (
            f"<!DOCTYPE html><html><head>{meta}<title>{self.name}</title></head>"
            f"<body><main><h1>{self.name}</h1><p>{self.sentence}</p></main></body></html>"
        )
        return html.encode(self.charset)


VARIANTS = (
    Variant("utf-8-unsaid", FRENCH, "utf-8"),
    Variant("cp1252-as-latin1", GERMAN, "cp1252", "text/html; charset=ISO-8859-1"),
    Variant("cp1251-as-utf-8", RUSSIAN, "cp1251", "text/html; charset=utf-8"),
    Variant("gb18030-as-gb2312", CHINESE, "gb18030", "text/html; charset=gb2312"),
    Variant("big5-in-meta", TAIWANESE, "big5", declared="big5"),
    Variant("shift-jis-in-meta", JAPANESE, "shift_jis", declared="Shift_JIS"),
    Variant("euc-kr-in-header", KOREAN, "euc_kr", "text/html; charset=euc-kr"),
    Variant("euc-kr-unsaid", KOREAN, "euc_kr"),
    Variant("utf-16-with-mark", GERMAN, "utf-16"),
    Variant("utf-16-without-mark", RUSSIAN, "utf-16-le"),
    Variant("utf-16-big-endian-without-mark", FRENCH, "utf-16-be", declared="utf-16"),
    Variant("iso-2022-jp-as-utf-8", JAPANESE, "iso2022_jp", "text/html; charset=utf-8"),
    Variant("koi8-r-unsaid", RUSSIAN, "koi8-r"),
    Variant("cp1251-in-meta-latin1-in-header", RUSSIAN, "cp1251", "text/html; charset=iso-8859-1", "windows-1251"),
    Variant("koi8-r-in-meta-cp1251-in-header", RUSSIAN, "koi8-r", "text/html; charset=windows-1251", "koi8-r"),
    Variant("gbk-as-latin1", CHINESE.replace("㐀和䶵", ""), "gbk", "text/html; charset=iso-8859-1"),
    Variant("utf-8-as-latin1", FRENCH, "utf-8", "text/html; charset=iso-8859-1", "iso-8859-1"),
    Variant("ascii-as-utf-16", "A plain page that claims to be wide, which it is not.", "ascii", declared="utf-16"),
)
