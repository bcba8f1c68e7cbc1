package eventstore

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

func TestPosition(t *testing.T) {
	for reply, want := range map[string]domain.Position{
		"$JS.ACK.JETON_0.c.1.42.7.1763785845000000000.0":               42,
		"$JS.ACK.hub.ACCOUNT.JETON_0.c.1.42.7.1763785845000000000.0":   42,
		"$JS.ACK._.ACCOUNT.JETON_0.c.1.42.7.1763785845000000000.0.rnd": 42,
		"$JS.ACK.JETON_0.c.1.x.7.1763785845000000000.0":                0,
		"_INBOX.abc": 0,
		"":           0,
	} {
		got, ok := position(reply)
		if got != want || ok != (want > 0) {
			t.Errorf("%q: got %d, %v; want %d", reply, got, ok, want)
		}
	}
}

func TestTheServerSyncsUnlessItIsToldNotTo(t *testing.T) {
	if !(EmbeddedConfig{Dir: "x"}).options().SyncAlways {
		t.Error("acknowledged commits are not on disk")
	}
}

func TestAnswersAreSorted(t *testing.T) {
	code := func(c jetstream.ErrorCode) error {
		return fmt.Errorf("nats: %w", &jetstream.APIError{Code: 400, ErrorCode: c})
	}
	for name, c := range map[string]struct {
		err    error
		answer answer
		is     error
	}{
		"wrong last sequence":              {code(10071), stale, nil},
		"wrong last sequence, on the way":  {code(10164), busy, nil},
		"duplicate id, on the way":         {code(10158), busy, nil},
		"message exceeds maximum":          {code(10054), refused, ErrTooLarge},
		"larger than the connection takes": {nats.ErrMaxPayload, refused, ErrTooLarge},
		"account resources exceeded":       {code(10002), refused, ErrUnavailable},
		"cluster not available":            {code(10008), refused, ErrUnavailable},
		"insufficient resources":           {code(10023), refused, ErrUnavailable},
		"storage resources exceeded":       {code(10047), refused, ErrUnavailable},
		"store failed":                     {code(10077), refused, ErrUnavailable},
		"sealed":                           {code(10109), refused, ErrUnavailable},
		"nobody listens":                   {jetstream.ErrNoStreamResponse, refused, ErrUnavailable},
		"never left":                       {nats.ErrReconnectBufExceeded, refused, ErrUnavailable},
		"no answer in time":                {context.DeadlineExceeded, silent, context.DeadlineExceeded},
		"closed while waiting":             {nats.ErrConnectionClosed, silent, nats.ErrConnectionClosed},
		"a code of a younger server":       {code(19999), silent, nil},
		"an answer that makes no sense":    {jetstream.ErrInvalidJSAck, silent, nil},
	} {
		answer, err := sortAnswer(c.err)
		if answer != c.answer || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %d, %v; want %d, %v", name, answer, err, c.answer, c.is)
		}
	}
}
