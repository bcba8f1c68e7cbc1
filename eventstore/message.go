package eventstore

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

// An entry is one message: its boundary is the last word of the subject, its id
// and what it stands behind are headers, its data is the payload. Both headers
// stay in the log, so that a repeated append can be told from another entry.

// check refuses entries that cannot be named in a log.
func (e Entry) check() error {
	switch {
	case e.ID.IsZero():
		return errors.New("append: the entry has no id")
	case e.Boundary == "" || strings.ContainsFunc(string(e.Boundary), notInWord):
		return fmt.Errorf("append: boundary %q is not one word of letters, digits, - and _", e.Boundary)
	}
	return nil
}

func notInWord(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
}

// message is e on its way to the log, accepted only behind after.
func message(e Entry, after domain.Position) *nats.Msg {
	return &nats.Msg{
		Subject: subject(e.Boundary),
		Data:    e.Data,
		Header: nats.Header{
			jetstream.MsgIDHeader:               {e.ID.String()},
			jetstream.ExpectedLastSubjSeqHeader: {number(after)},
		},
	}
}

// entry is the way back. What somebody else put into the log is an error.
func entry(subject string, header nats.Header, data []byte) (e Entry, err error) {
	boundary, ours := strings.CutPrefix(subject, subjectPrefix)
	if !ours {
		return e, fmt.Errorf("a message of subject %q", subject)
	}
	if err := e.ID.UnmarshalText([]byte(header.Get(jetstream.MsgIDHeader))); err != nil {
		return e, fmt.Errorf("a message without the id of a commit: %w", err)
	}
	e.Boundary, e.Data = domain.Boundary(boundary), data
	return e, nil
}

// is reports whether m is e as it was accepted behind after.
func is(m *jetstream.RawStreamMsg, e Entry, after domain.Position) bool {
	return m.Header.Get(jetstream.MsgIDHeader) == e.ID.String() &&
		m.Header.Get(jetstream.ExpectedLastSubjSeqHeader) == number(after)
}

// same reports whether m is the record r.
func same(m *jetstream.RawStreamMsg, r Record) bool {
	e, err := entry(m.Subject, m.Header, m.Data)
	return err == nil && e.ID == r.ID && e.Boundary == r.Boundary && bytes.Equal(e.Data, r.Data)
}

func subject(b domain.Boundary) string { return subjectPrefix + string(b) }

func number(p domain.Position) string { return strconv.FormatUint(uint64(p), 10) }

// position reads the sequence in the stream from a delivery's reply subject,
//
//	$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<…>.<time>.<pending>
//
// or the same with domain and account in front of the stream. The client's own
// parser allocates for each of a million messages what nobody asks for.
func position(reply string) (domain.Position, bool) {
	const short, long = 8, 10 // dots in either form; the long one may have one more
	skip := 5
	if strings.Count(reply, ".") >= long {
		skip = 7
	} else if strings.Count(reply, ".") != short {
		return 0, false
	}
	for range skip {
		_, reply, _ = strings.Cut(reply, ".")
	}
	digits, _, _ := strings.Cut(reply, ".")
	n, err := strconv.ParseUint(digits, 10, 64)
	return domain.Position(n), err == nil
}
