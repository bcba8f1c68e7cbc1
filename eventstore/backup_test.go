package eventstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

// original is something to make backups of: more commits than a part has, keys, and
// objects of several parts, one of them empty.
type original struct {
	eventstore.Memory
	keys    eventstore.MemoryKeys
	objects eventstore.MemoryObjects
	head    eventstore.Head
}

const large = 1<<20 + 100

func newOriginal(t testing.TB, commits int) *original {
	t.Helper()
	o := new(original)
	last := map[domain.Boundary]domain.Position{}
	for i := range commits {
		b := domain.Boundary(fmt.Sprintf("org%d", i%7))
		e := eventstoretest.Entry(b, fmt.Sprintf("commit %d", i))
		at, err := o.Append(t.Context(), e, last[b])
		if err != nil {
			t.Fatal(err)
		}
		last[b], o.head = at, o.head.Next(e).Head()
	}
	for i := range 5 {
		if err := o.keys.Put(t.Context(), fmt.Sprintf("person-%d", i), []byte(fmt.Sprintf("wrapped key %d", i))); err != nil {
			t.Fatal(err)
		}
	}
	for name, size := range map[string]int{"acme/empty": 0, "acme/small": 10, "beta/large": large} {
		if _, err := o.objects.Put(t.Context(), name, bytes.NewReader(random(size)), 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// random is as many bytes, always the same.
func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// source is the backup that is to be made of it.
func (o *original) source() eventstore.BackupSource {
	return eventstore.BackupSource{
		BackupHeader: eventstore.BackupHeader{Log: "the log", Made: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Version: "v1"},
		Until:        o.head, Keys: &o.keys, Objects: &o.objects,
		Records: func(ctx context.Context, do func(eventstore.Record) error) error {
			return eventstore.ReadUpTo(ctx, &o.Memory, o.head.Position, do)
		},
		Roots: func(context.Context, eventstore.Head) (map[string]eventstore.Root, error) {
			return map[string]eventstore.Root{"acme": {Size: 3, Root: domain.Hash{1}}}, nil
		},
	}
}

func (o *original) backup(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := eventstore.WriteBackup(t.Context(), o.source(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// taken is what comes out of a backup.
type taken struct {
	header  eventstore.BackupHeader
	log     eventstore.Memory
	keys    map[string]string
	objects map[string]domain.Hash
	end     eventstore.BackupEnd
}

func take(ctx context.Context, backup []byte) (*taken, error) {
	out := &taken{keys: map[string]string{}, objects: map[string]domain.Hash{}}
	last := map[domain.Boundary]domain.Position{}
	var err error
	_, out.end, err = eventstore.ReadBackup(bytes.NewReader(backup), eventstore.BackupTaker{
		Header: func(h eventstore.BackupHeader) error { out.header = h; return nil },
		Record: func(r eventstore.Record) error {
			at, err := out.log.Append(ctx, r.Entry, last[r.Boundary])
			if err == nil && at != r.Position {
				err = fmt.Errorf("commit %d came as %d", at, r.Position)
			}
			last[r.Boundary] = at
			return err
		},
		Key: func(name string, wrapped []byte) error { out.keys[name] = string(wrapped); return nil },
		Object: func(o eventstore.Object, content io.Reader) error {
			sum := sha256.New()
			if _, err := io.Copy(sum, content); err != nil {
				return err
			}
			out.objects[o.Name] = domain.Hash(sum.Sum(nil))
			return nil
		},
	})
	return out, err
}

func TestABackupHasAllThereIs(t *testing.T) {
	o := newOriginal(t, 10_000)
	backup := o.backup(t)
	got, err := take(t.Context(), backup)
	if err != nil {
		t.Fatal(err)
	}
	if got.end.Last != 10_000 || got.end.Chain != o.head.Chain || got.end.Keys != 5 || got.end.Objects != 3 || got.end.Bytes != large+10 {
		t.Errorf("got %+v", got.end)
	}
	if got.header.Log != "the log" || !got.header.WithObjects || got.end.Roots["acme"].Size != 3 {
		t.Errorf("got %+v, %+v", got.header, got.end.Roots)
	}
	if got.keys["person-3"] != "wrapped key 3" || len(got.objects) != 3 || got.objects["beta/large"] != sha256.Sum256(random(large)) {
		t.Errorf("got keys %v and objects %v", got.keys, got.objects)
	}
	if !bytes.HasPrefix(backup, []byte("jeton backup 1\n")) {
		t.Errorf("a backup begins with %q", backup[:15])
	}
}

func TestABackupOfNothing(t *testing.T) {
	o := new(original)
	source := o.source()
	source.Keys, source.Objects, source.Roots = nil, nil, nil
	var b bytes.Buffer
	if _, err := eventstore.WriteBackup(t.Context(), source, &b); err != nil {
		t.Fatal(err)
	}
	got, err := take(t.Context(), b.Bytes())
	if err != nil || got.end.Commits != 0 || got.header.WithObjects {
		t.Errorf("got %+v, %v", got.end, err)
	}
}

// A source that is not what was written makes no backup.
func TestADamagedSourceMakesNoBackup(t *testing.T) {
	o := newOriginal(t, 20)
	for name, harm := range map[string]func(r *eventstore.Record) bool{
		"a commit is missing": func(r *eventstore.Record) bool { return r.Position != 7 },
		"the end is missing":  func(r *eventstore.Record) bool { return r.Position < 7 },
		"a byte is changed": func(r *eventstore.Record) bool {
			if r.Position == 7 {
				r.Data = append(bytes.Clone(r.Data), ' ')
			}
			return true
		},
	} {
		source := o.source()
		source.Records = func(ctx context.Context, do func(eventstore.Record) error) error {
			return eventstore.ReadUpTo(ctx, &o.Memory, 20, func(r eventstore.Record) error {
				if !harm(&r) {
					return nil
				}
				return do(r)
			})
		}
		_, err := eventstore.WriteBackup(t.Context(), source, io.Discard)
		var damage *eventstore.Damage
		if !errors.As(err, &damage) || damage.Position != 7 {
			t.Errorf("%s: got %v, want damage at 7", name, err)
		}
	}
}

// vanishing is objects of which one is deleted while it is read.
type vanishing struct{ *eventstore.MemoryObjects }

func (v vanishing) Get(ctx context.Context, name string) (eventstore.Object, io.ReadCloser, error) {
	o, content, err := v.MemoryObjects.Get(ctx, name)
	if name != "beta/large" || err != nil {
		return o, content, err
	}
	gone := io.MultiReader(io.LimitReader(content, 1<<20), failing{eventstore.ErrNoObject})
	return o, io.NopCloser(gone), nil
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func TestAnObjectThatIsDeletedMeanwhileIsLeftOut(t *testing.T) {
	o := newOriginal(t, 3)
	source := o.source()
	source.Objects = vanishing{&o.objects}
	var b bytes.Buffer
	if _, err := eventstore.WriteBackup(t.Context(), source, &b); err != nil {
		t.Fatal(err)
	}
	got, err := take(t.Context(), b.Bytes())
	if err != nil || got.end.Objects != 2 || len(got.objects) != 2 {
		t.Errorf("got %v, %+v, %v", slices.Collect(maps.Keys(got.objects)), got.end, err)
	}
}

func TestWhatIsNoBackupIsRefused(t *testing.T) {
	for text, want := range map[string]error{
		"":                        eventstore.ErrNoBackup,
		"jeton backup":            eventstore.ErrNoBackup,
		"jeton backup 1":          eventstore.ErrNoBackup,
		"jeton backup one\n":      eventstore.ErrNoBackup,
		"SQLite format 3\x00":     eventstore.ErrNoBackup,
		"jeton backup 0\n":        eventstore.ErrBackupFormat,
		"jeton backup 2\nwhoever": eventstore.ErrBackupFormat,
	} {
		if _, err := take(t.Context(), []byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
	}
}

// part is a part of a backup as it stands there.
type part struct {
	kind            byte
	content, digest []byte
	length          uint32
}

const firstLine = len("jeton backup 1\n")

// apart takes a backup apart.
func apart(t testing.TB, backup []byte) (parts []part) {
	t.Helper()
	for rest := backup[firstLine:]; len(rest) > 0; {
		stored := 9 + int(binary.BigEndian.Uint32(rest[5:]))
		parts = append(parts, part{rest[0], rest[9:stored], rest[stored : stored+32], binary.BigEndian.Uint32(rest[1:])})
		rest = rest[stored+32:]
	}
	return parts
}

// together is the way back: with digests that are right, or those that were there.
func together(parts []part, right bool) []byte {
	b := []byte("jeton backup 1\n")
	for _, p := range parts {
		b = append(b, p.kind)
		b = binary.BigEndian.AppendUint32(b, p.length)
		b = binary.BigEndian.AppendUint32(b, uint32(len(p.content)))
		b = append(b, p.content...)
		digest := sha256.Sum256(b)
		if !right {
			digest = [32]byte(p.digest)
		}
		b = append(b, digest[:]...)
	}
	return b
}

// repacked is a part whose content was changed.
func (p part) repacked(t testing.TB, change func([]byte) []byte) part {
	t.Helper()
	decoder, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	defer decoder.Close()
	encoder, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	content, err := decoder.DecodeAll(p.content, nil)
	if err != nil {
		t.Fatal(err)
	}
	content = change(content)
	return part{p.kind, encoder.EncodeAll(content, nil), p.digest, uint32(len(content))}
}

// refused wants a backup to be refused with the place named.
func refused(t *testing.T, what string, backup []byte) {
	t.Helper()
	_, err := take(t.Context(), backup)
	var bad *eventstore.BadBackup
	if !errors.As(err, &bad) && !errors.Is(err, eventstore.ErrNoBackup) && !errors.Is(err, eventstore.ErrBackupFormat) {
		t.Errorf("%s: got %v, want a refusal that names the place", what, err)
		return
	}
	if bad != nil && (bad.Part < 1 || bad.Offset < int64(firstLine) || bad.Offset > int64(len(backup))) {
		t.Errorf("%s: the place is part %d at byte %d", what, bad.Part, bad.Offset)
	}
}

// Whatever is done to a backup, it is refused: a byte changed anywhere, parts dropped,
// doubled, swapped, cut, whether the digests were made good or not.
func TestTamperedBackupsAreRefused(t *testing.T) {
	o := newOriginal(t, 5000)
	backup := o.backup(t)
	parts := apart(t, backup)
	if len(parts) < 10 || !bytes.Equal(together(parts, true), backup) {
		t.Fatalf("%d parts", len(parts))
	}
	cases := 0
	try := func(what string, changed []byte) { cases++; refused(t, what, changed) }
	for range 80 {
		changed, at := bytes.Clone(backup), rand.IntN(len(backup))
		changed[at] ^= 1 << rand.IntN(8)
		try(fmt.Sprintf("a bit of byte %d", at), changed)
		try(fmt.Sprintf("cut off at %d", at), backup[:at])
	}
	try("something behind it", append(bytes.Clone(backup), 0))
	for i := range parts {
		for _, right := range []bool{true, false} {
			say := func(what string) string {
				return fmt.Sprintf("part %d (%c) %s, digests right: %t", i, parts[i].kind, what, right)
			}
			try(say("dropped"), together(slices.Delete(slices.Clone(parts), i, i+1), right))
			try(say("doubled"), together(slices.Insert(slices.Clone(parts), i, parts[i]), right))
			if next := i + 1; next < len(parts) {
				swapped := slices.Clone(parts)
				swapped[i], swapped[next] = swapped[next], swapped[i]
				try(say("swapped"), together(swapped, right))
			}
			if parts[i].kind == 'h' {
				continue // it is JSON, and says what its author wants: see below
			}
			if parts[i].length > 0 {
				for range 2 {
					changed := slices.Clone(parts)
					changed[i] = parts[i].repacked(t, func(b []byte) []byte { b[rand.IntN(len(b))] ^= 1; return b })
					if parts[i].kind == 'e' && right {
						changed[i] = parts[i].repacked(t, func(b []byte) []byte { return bytes.Replace(b, []byte(`"commits":5`), []byte(`"commits":4`), 1) })
					}
					try(say("changed inside"), together(changed, right))
				}
				changed := slices.Clone(parts)
				changed[i] = parts[i].repacked(t, func(b []byte) []byte { return b[:len(b)-1] })
				try(say("cut inside"), together(changed, right))
			}
		}
	}
	for name, change := range map[string]func(string) string{
		"no objects":    func(h string) string { return strings.Replace(h, "true", "false", 1) },
		"another field": func(h string) string { return strings.Replace(h, "{", `{"more":1,`, 1) },
		"half":          func(h string) string { return h[:len(h)/2] },
	} {
		changed := slices.Clone(parts)
		changed[0] = parts[0].repacked(t, func(b []byte) []byte { return []byte(change(string(b))) })
		try("the header: "+name, together(changed, true))
	}
	t.Logf("%d cases", cases)
}

// A part that unpacks to more than it says takes no memory for it.
func TestABombIsRefused(t *testing.T) {
	encoder, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	bomb := encoder.EncodeAll(make([]byte, 1<<30), nil)
	for _, length := range []uint32{100, 32 << 20, 1<<32 - 1} {
		parts := apart(t, newOriginal(t, 1).backup(t))
		parts[1].content, parts[1].length = bomb, length
		refused(t, fmt.Sprint(length), together(parts, true))
	}
}

func FuzzBackup(f *testing.F) {
	backup := newOriginal(f, 30).backup(f)
	f.Add(backup)
	f.Add(backup[:len(backup)/2])
	for _, p := range apart(f, backup) {
		f.Add(together([]part{p}, true))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = take(t.Context(), data)
		if len(data) < firstLine+9+32 { // what follows is read, too, if its digest is right
			return
		}
		parts := []part{{kind: data[0], content: data[9:], length: binary.BigEndian.Uint32(data[1:])}}
		_, _ = take(t.Context(), together(parts, true))
	})
}
