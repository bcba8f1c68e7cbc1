package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"jeton/eventstore"
)

// value is a setting's value as text. What String writes Set reads.
type value = pflag.Value

// field is a value that is kept in a T.
type field[T any] struct {
	at    *T
	kind  string // what help says belongs there
	parse func(string) (T, error)
	write func(T) string
}

func (f field[T]) Set(text string) error {
	v, err := f.parse(text)
	if err == nil {
		*f.at = v
	}
	return err
}

func (f field[T]) String() string {
	if f.at == nil { // pflag asks a zero value what it looks like
		return ""
	}
	return f.write(*f.at)
}

func (f field[T]) Type() string { return f.kind }

func text(at *string, kind string) value {
	same := func(s string) string { return s }
	return field[string]{at, kind, func(s string) (string, error) { return s, nil }, same}
}

func number(at *int) value {
	return field[int]{at, "N", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%q is no number", s)
		}
		return n, nil
	}, strconv.Itoa}
}

func duration(at *time.Duration) value {
	return field[time.Duration]{at, "TIME", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("%q is no duration; write it like 30s or 2m", s)
		}
		return d, nil
	}, time.Duration.String}
}

func yesno(at *bool) value {
	return field[bool]{at, "BOOL", parseYesno, strconv.FormatBool}
}

func parseYesno(s string) (bool, error) {
	switch s {
	case "true", "yes":
		return true, nil
	case "false", "no":
		return false, nil
	}
	return false, errors.New("it is true or false")
}

func level(at *zerolog.Level) value {
	return field[zerolog.Level]{at, "LEVEL", func(s string) (zerolog.Level, error) {
		l, err := zerolog.ParseLevel(s)
		if err != nil || l < zerolog.DebugLevel || l > zerolog.ErrorLevel {
			return 0, fmt.Errorf("%q is none of debug, info, warn and error", s)
		}
		return l, nil
	}, zerolog.Level.String}
}

func choice(at *string, choices ...string) value {
	return field[string]{at, strings.ToUpper(strings.Join(choices, "|")), func(s string) (string, error) {
		if !slices.Contains(choices, s) {
			return "", fmt.Errorf("%q is none of %s", s, strings.Join(choices, ", "))
		}
		return s, nil
	}, func(s string) string { return s }}
}

// limit is how often something may happen. The zero one is none.
type limit struct {
	Requests uint32 `json:"requests,omitempty"`
	Window   string `json:"window,omitempty"`
}

func (l *limit) String() string {
	if l == nil || l.Requests == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(l.Requests), 10) + "/" + l.Window
}

// limitOf stays nil until something is said about it.
func limitOf(at **limit) value {
	return field[*limit]{at, "N/TIME", parseLimit, (*limit).String}
}

// parseLimit takes a limit apart. How long a window may be the service knows.
func parseLimit(s string) (*limit, error) {
	if s == "none" {
		return &limit{}, nil
	}
	requests, window, _ := strings.Cut(s, "/")
	n, err := strconv.ParseUint(requests, 10, 32)
	if err != nil || n == 0 || window == "" {
		return nil, fmt.Errorf("%q is no limit; write it like 100/1m, or none", s)
	}
	return &limit{uint32(n), window}, nil
}

// several is a list that grows each time its flag is given.
type several struct {
	at   *[]string
	kind string
}

// Set takes commas as they come: an id may have them.
func (s several) Set(text string) error { *s.at = append(*s.at, text); return nil }
func (s several) Type() string          { return s.kind }

func (s several) String() string {
	if s.at == nil { // pflag asks a zero value what it looks like
		return ""
	}
	return strings.Join(*s.at, ",")
}

// listed is what such a flag lists. Given once and empty, or as none, it lists
// nothing.
func listed(texts []string) []string {
	return slices.DeleteFunc(append([]string{}, texts...), func(s string) bool { return s == "" || s == "none" })
}

var day = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// parseMoment takes a day for its beginning. Anything else the service judges.
func parseMoment(text string) string {
	if day.MatchString(text) {
		return text + "T00:00:00Z"
	}
	return text
}

// units are those of sizes, largest first.
var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func size(at *int64) value { return field[int64]{at, "SIZE", parseSize, writeSize} }

func parseSize(s string) (int64, error) {
	digits, unit := s, int64(1)
	for _, u := range units {
		if rest, found := strings.CutSuffix(s, u.name); found {
			digits, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("%q is no size; write it like 512MiB, 2GiB or 1048576", s)
	}
	return n * unit, nil
}

func writeSize(n int64) string {
	for _, u := range units {
		if n != 0 && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// masters are never shown.
func masters(at *[]eventstore.Master) value {
	return field[[]eventstore.Master]{at, "KEYS", func(s string) ([]eventstore.Master, error) {
		if s == "" {
			return nil, nil
		}
		return eventstore.ParseMasters(s)
	}, func(list []eventstore.Master) string {
		if len(list) == 0 {
			return ""
		}
		return "[redacted]"
	}}
}

// origins are those of browsers: scheme, host and port, as a browser writes them.
func origins(at *[]string) value {
	return field[[]string]{at, "ORIGINS", func(s string) (list []string, err error) {
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			u, err := url.Parse(item)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || item != u.Scheme+"://"+strings.ToLower(u.Host) {
				return nil, fmt.Errorf("%q is no origin; write it like https://console.example.org, in small letters and without a slash at its end", redact(item))
			}
			list = append(list, item)
		}
		return list, nil
	}, func(list []string) string { return strings.Join(list, ",") }}
}

func prefixes(at *[]netip.Prefix) value {
	return field[[]netip.Prefix]{at, "NETWORKS", parsePrefixes, func(list []netip.Prefix) string {
		var texts []string
		for _, p := range list {
			texts = append(texts, p.String())
		}
		return strings.Join(texts, ",")
	}}
}

func parsePrefixes(s string) (list []netip.Prefix, err error) {
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		p, err := parsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network; write it like 10.0.0.0/8 or 127.0.0.1", item)
		}
		list = append(list, p)
	}
	return list, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err == nil && p != p.Masked() {
			err = errors.New("bits behind the network are set")
		}
		return p, err
	}
	addr, err := netip.ParseAddr(s)
	return netip.PrefixFrom(addr, addr.BitLen()), err
}

// redact shows of a URL, or of several with commas between, what is no secret.
// Whoever wrote it may have forgotten to escape an @ in a password, and a NATS
// token stands where names do: so all is hidden between the scheme and the last @.
func redact(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if i := strings.LastIndexByte(rest, '@'); found && i >= 0 {
		text = scheme + "://[redacted]" + rest[i:]
	} else if i := strings.LastIndexByte(text, '@'); i >= 0 {
		text = "[redacted]" + text[i:]
	}
	return passwordParameter.ReplaceAllString(text, "${1}[redacted]")
}

var passwordParameter = regexp.MustCompile(`(?i)(password=)[^&\s]*`)
