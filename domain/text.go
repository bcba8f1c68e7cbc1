package domain

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Longest texts, in characters.
const (
	MaxName        = 100
	MaxDescription = 1000
	MaxReason      = 1000
	MaxEmail       = 254
	MaxAlias       = 40
)

// checkName wants a line that a person can read: not empty, not too long, no
// blanks at its ends, nothing that does not show.
func checkName(field, name string) error {
	if name == "" {
		return Invalid(field, "is empty", fmt.Sprintf("give it a name of 1 to %d characters", MaxName))
	}
	if strings.TrimSpace(name) != name {
		return Invalid(field, "begins or ends with a blank", "remove the blanks at its ends")
	}
	return checkLine(field, name, MaxName)
}

// checkLine wants printable text of one line. Control and formatting characters
// (among them those that turn the direction of text around) are refused because
// they make a list show something else than what is stored.
func checkLine(field, text string, most int) error {
	if n := utf8.RuneCountInString(text); n > most {
		return Invalid(field, "has %d characters", fmt.Sprintf("shorten it to at most %d characters", most), n)
	}
	if !utf8.ValidString(text) {
		return Invalid(field, "is not UTF-8", "send it as UTF-8")
	}
	if i := strings.IndexFunc(text, hidden); i >= 0 {
		return Invalid(field, "has a character that does not show, at byte %d", "use letters, digits, blanks and signs only", i)
	}
	return nil
}

// hidden reports characters that do not show. Joiners do not either, but words of
// several scripts are written with them.
func hidden(r rune) bool {
	return !unicode.IsGraphic(r) && r != zeroWidthNonJoiner && r != zeroWidthJoiner
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

var aliasPattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

func checkAlias(alias string) error {
	if len(alias) < 2 || len(alias) > MaxAlias || !aliasPattern.MatchString(alias) {
		return Invalid("alias", "%q is no alias",
			fmt.Sprintf("use 2 to %d small letters, digits and single hyphens, beginning with a letter", MaxAlias), clip(alias))
	}
	return nil
}

func checkEmail(field, email string) error {
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > MaxEmail || strings.IndexFunc(email, hidden) >= 0 {
		return Invalid(field, "%q is not an e-mail address", "write it like name@example.org", clip(email))
	}
	return nil
}

// emailKey is what makes an e-mail unique. The address itself keeps its case,
// because others (clone labels of Database Lab) compare it literally.
func emailKey(email string) string { return strings.ToLower(email) }
