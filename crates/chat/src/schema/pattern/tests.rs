//! Expressions that Python 3.11 compiles, and ones that it refuses.

use super::check;

#[test]
fn accepts_what_python_compiles() {
    let good = [
        "",
        "^[a-z]+$",
        "a{2,3}?",
        "a{,3}",
        "a{x}",
        "a{}",
        "{",
        "[]a]",
        "[^]]",
        "[a-]",
        r"[\d-]",
        r"\d{3}-\w*+",
        "(?P<a>x)(?P=a)",
        "(?i)abc",
        "(?i)(?s)abc",
        "(?i:a)",
        "(?-i:a)",
        "(?:)*",
        "(?=a)*",
        r"(a)\1",
        r"\07",
        r"\377",
        "(?<=ab)c",
        "(?<!a|b)c",
        r"(a)(?<=\1)",
        "(a)?(?(1)b|c)",
        "(?#x)a",
        "(?>a)",
        r"\x41\u0041\U00000041",
        "a|",
        "(?x) a # ( \n b",
        "]",
        "}",
        "a**".trim_end_matches('*'),
        r"\N{EM DASH}",
        "(?x:[#])",
        "(?(1)a)(b)",
        "a++",
    ];
    for pattern in good {
        assert_eq!(check(pattern), Ok(()), "{pattern}");
    }
}

#[test]
fn refuses_what_python_refuses() {
    let bad = [
        "(",
        ")",
        "[",
        "[a",
        "*",
        "a**",
        "a{2}{3}",
        "^*",
        r"\b+",
        "(?P<1>a)",
        "(?<n>a)",
        r"\p{L}",
        r"\z",
        r"\1",
        r"(\1)",
        "[z-a]",
        r"[\d-z]",
        "a{3,2}",
        "a{4294967295}",
        "(?P=x)",
        "(?P<a>x)(?P<a>y)",
        "a(?i)",
        "(?<=a*)b",
        "(?<=(a))(?<=(b)\\2)",
        "(?(2)a)(b)",
        "(?(0)a)",
        "(?(1)a|b|c)(d)",
        "(?z)",
        "(?au)",
        "(?L)",
        "(?-u:a)",
        "(?i-i:a)",
        r"\x4",
        r"\u12",
        "\\",
        r"[\A]",
        r"\400",
        "(?",
        "(?P",
        "(?#",
        "(?t:a)",
        "a|*",
        "(?<=a|bc)d",
        r"\U00110000",
        r"\8",
        "a???",
    ];
    for pattern in bad {
        assert!(check(pattern).is_err(), "{pattern}");
    }
}
