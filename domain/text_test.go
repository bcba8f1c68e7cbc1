package domain

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		says string // empty: it is a name
	}{
		"one letter":                 {"a", ""},
		"blanks inside":              {"my other laptop", ""},
		"signs":                      {`<ci/cd> "prod" & 100%`, ""},
		"other scripts":              {"Ноутбук 笔记本 لابتوب", ""},
		"an accent of its own":       {"cafe\u0301", ""},
		"a picture":                  {"🔑", ""},
		"the longest":                {strings.Repeat("ü", MaxName), ""},
		"empty":                      {"", "is empty"},
		"a blank":                    {" ", "begins or ends with a blank"},
		"begins with a blank":        {" a", "begins or ends with a blank"},
		"ends with a blank":          {"a ", "begins or ends with a blank"},
		"ends with a tab":            {"a\t", "begins or ends with a blank"},
		"ends with a line":           {"a\n", "begins or ends with a blank"},
		"ends with a wide blank":     {"a\u3000", "begins or ends with a blank"},
		"begins with a fixed blank":  {"\u00a0a", "begins or ends with a blank"},
		"a letter too long":          {strings.Repeat("a", MaxName+1), "has 101 characters"},
		"a letter too long, wide":    {strings.Repeat("字", MaxName+1), "has 101 characters"},
		"10,000 characters":          {strings.Repeat("a", 10_000), "has 10000 characters"},
		"no UTF-8":                   {"a\xffb", "is not UTF-8"},
		"half a character":           {"a\xc3", "is not UTF-8"},
		"half of a pair":             {"a\xed\xa0\x80b", "is not UTF-8"},
		"zero":                       {"a\x00b", "does not show, at byte 1"},
		"escape":                     {"a\x1b[31mb", "does not show, at byte 1"},
		"delete":                     {"a\x7fb", "does not show, at byte 1"},
		"a second control set":       {"a\u0085b", "does not show, at byte 1"},
		"two lines":                  {"a\nb", "does not show, at byte 1"},
		"a tab":                      {"a\tb", "does not show, at byte 1"},
		"a line separator":           {"a\u2028b", "does not show, at byte 1"},
		"a paragraph separator":      {"a\u2029b", "does not show, at byte 1"},
		"no width":                   {"a\u200bb", "does not show, at byte 1"},
		"no width, joining":          {"a\u2060b", "does not show, at byte 1"},
		"byte order mark":            {"\ufeffab", "does not show, at byte 0"},
		"soft hyphen":                {"a\u00adb", "does not show, at byte 1"},
		"right to left, overriding":  {"lap\u202etop", "does not show, at byte 3"},
		"right to left, isolating":   {"lap\u2067top", "does not show, at byte 3"},
		"right to left mark":         {"lap\u200ftop", "does not show, at byte 3"},
		"a tag":                      {"a\U000e0041", "does not show, at byte 1"},
		"private use":                {"a\ue000", "does not show, at byte 1"},
		"what is no character (yet)": {"a\U0010ffff", "does not show, at byte 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkName("name", c.text)
			if c.says == "" {
				checkRefusal(t, err, nil, "")
				return
			}
			checkRefusal(t, err, ErrInvalid, c.says)
		})
	}
}

func TestLine(t *testing.T) {
	for text, says := range map[string]string{
		"":                       "",
		" a ":                    "",
		strings.Repeat("ü", 10):  "",
		strings.Repeat("ü", 11):  "has 11 characters",
		strings.Repeat(" ", 10):  "",
		"a\nb":                   "has a character that does not show, at byte 1",
		"\xff":                   "is not UTF-8",
		strings.Repeat("ü", 1e5): "has 100000 characters",
	} {
		err := checkLine("reason", text, 10)
		if says == "" {
			checkRefusal(t, err, nil, "")
		} else {
			checkRefusal(t, err, ErrInvalid, "reason: "+says)
		}
	}
}

func TestEmail(t *testing.T) {
	for email, valid := range map[string]bool{
		"a@example.org": true, "A.B+c@Example.ORG": true, "o'neill@example.org": true, "ü@example.org": true,
		"a@sub.example.org": true, strings.Repeat("a", MaxEmail-len("@example.org")) + "@example.org": true,
		"": false, "a": false, "@example.org": false, "a@": false, "a@@example.org": false, "a@b@example.org": false,
		"a b@example.org": false, `"a b"@example.org`: false, " a@example.org": false, "a@example.org ": false,
		"a@example.org\n": false, "a@example..org": false, "a@.org": false, ".a@example.org": false,
		"Ann <a@example.org>": false, "<a@example.org>": false, "a@example.org, b@example.org": false,
		"a@example.org\r\nBcc: b@example.org": false, "a\x00@example.org": false, "a\u200b@example.org": false,
		"a\u202e@example.org": false, "a\xff@example.org": false, "a(x)@example.org": false,
		strings.Repeat("a", MaxEmail-len("@example.org")+1) + "@example.org": false, strings.Repeat("a", 10_000): false,
	} {
		err := checkEmail("email", email)
		if valid {
			checkRefusal(t, err, nil, "")
		} else {
			checkRefusal(t, err, ErrInvalid, "email: ")
		}
	}
}
