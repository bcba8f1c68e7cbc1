package eventstore

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// clientName is how servers know this program.
const clientName = "jeton"

// Connect connects to servers elsewhere, a URL or several with commas between.
// User and password may stand in the URL; credentials is a file of a user's
// credentials, empty for none. The connection is renewed for ever once it was
// there, and keeps nothing for later: what is sent without one is refused at once.
func Connect(url, credentials string) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name(clientName),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.Timeout(5 * time.Second),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
	}
	if credentials != "" {
		options = append(options, nats.UserCredentials(credentials))
	}
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to the log: %w", err) // not the URL: it may hold a password
	}
	return conn, nil
}
