package eventstore_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

// A commit of the size that commits have.
var typical = string(make([]byte, 400))

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := create(b, embed(b, b.TempDir()).JetStream(), 1)
			write(b, writers, func(boundary string, after uint64) (uint64, error) {
				at, err := s.Append(b.Context(), eventstoretest.Entry(domain.Boundary(boundary), typical), domain.Position(after))
				return uint64(at), err
			})
		})
	}
}

// BenchmarkRawPublish is BenchmarkAppend without this package.
func BenchmarkRawPublish(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			js := embed(b, b.TempDir()).JetStream()
			create(b, js, 1)
			write(b, writers, func(boundary string, after uint64) (uint64, error) {
				ack, err := js.PublishMsg(b.Context(), &nats.Msg{Subject: "jeton.0." + boundary, Data: []byte(typical)},
					jetstream.WithMsgID(domain.RandomCommandID().String()), jetstream.WithExpectLastSequencePerSubject(after))
				if err != nil {
					return 0, err
				}
				return ack.Sequence, nil
			})
		})
	}
}

// write shares the benchmark's appends among writers of a boundary each.
func write(b *testing.B, writers int, publish func(boundary string, after uint64) (uint64, error)) {
	var started atomic.Int64
	b.SetParallelism(writers)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		n := started.Add(1)
		if n > int64(writers) { // RunParallel starts a multiple of the processors
			return
		}
		after, err := uint64(0), error(nil)
		for pb.Next() {
			if after, err = publish("b"+strconv.FormatInt(n, 10), after); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkFollow(b *testing.B) {
	_, s := filled(b)
	all := errors.New("all")
	b.ReportAllocs()
	b.ResetTimer()
	err := s.Follow(b.Context(), eventstore.Head{}, func(r eventstore.Record) error {
		if int(r.Position) == b.N {
			return all
		}
		return nil
	})
	if !errors.Is(err, all) {
		b.Error(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkRawConsume reads the same with the client's ordered consumer, without
// looking at what it reads.
func BenchmarkRawConsume(b *testing.B) {
	js, _ := filled(b)
	consumer, err := js.OrderedConsumer(b.Context(), stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	messages, err := consumer.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if _, err := messages.Next(); err != nil {
			b.Fatal(err)
		}
	}
	messages.Stop()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// filled is a log of b.N commits of many boundaries, read with -benchtime=400000x.
func filled(b *testing.B) (jetstream.JetStream, *eventstore.JetStream) {
	b.Helper()
	e, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: b.TempDir(), LoseAcknowledgedWritesOnPowerFailure: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	s := create(b, e.JetStream(), 1)
	for i := range b.N {
		m := &nats.Msg{Subject: fmt.Sprintf("jeton.0.b%d", i%10_000), Data: []byte(typical), Header: nats.Header{
			jetstream.MsgIDHeader: {domain.RandomCommandID().String()},
		}}
		if _, err := e.JetStream().PublishMsgAsync(m, jetstream.WithStallWait(patience)); err != nil {
			b.Fatal(err)
		}
	}
	<-e.JetStream().PublishAsyncComplete()
	return e.JetStream(), s
}
