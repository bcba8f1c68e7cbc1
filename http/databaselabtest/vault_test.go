package databaselabtest

import (
	"context"

	"jeton/eventstore"
)

// vault seals what is personal in all logs of these tests.
var vault, _ = eventstore.OpenVault(context.Background(), new(eventstore.MemoryKeys), eventstore.Master{1}) // keys in memory never fail
