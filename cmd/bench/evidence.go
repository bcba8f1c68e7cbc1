package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
	"jeton/eventstore"
)

// evidence measures what it costs a command that its commit is sealed and stands in a
// tree, and how fast it is told what was.
func (b bench) evidence(ctx context.Context) error {
	costs, err := b.costs(ctx)
	if err != nil {
		return err
	}
	answers, err := b.past(ctx)
	if err != nil {
		return err
	}
	return report(append(costs, answers...)...)
}

// costs compares, in turn, durable commands with what sealing adds to the same commits,
// and what their trees do.
func (b bench) costs(ctx context.Context) ([]row, error) {
	dir, err := os.MkdirTemp(filepath.Dir(b.Dir), "evidence-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c := commandBench{from: domain.Meta{Address: "203.0.113.77", Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"}}
	if err := c.start(ctx, dir); err != nil {
		return nil, err
	}
	defer c.server.Close()
	trees, err := plant(ctx, filepath.Join(dir, "trees.db"))
	if err != nil {
		return nil, err
	}
	defer trees.db.Close()
	var commands, sealing, growing, all []float64
	for range 10 * b.Rounds {
		commits, took, err := c.commits(ctx)
		if err != nil {
			return nil, err
		}
		sealed, err := c.sealing(ctx, commits)
		if err != nil {
			return nil, err
		}
		grown, err := trees.grow(ctx, commits)
		if err != nil {
			return nil, err
		}
		commands = append(commands, micros(took))
		sealing, growing, all = append(sealing, micros(sealed)), append(growing, micros(grown)), append(all, micros(sealed+grown))
	}
	each := fmt.Sprintf("of %.0f µs, over commands that wait for the disk; ", median(commands))
	return []row{
		{"(j) what sealing personal data adds to a durable command", percent(sealing, commands), "", each + fmt.Sprintf("%.1f µs: address, agent, encoded", median(sealing))},
		{"(j) what the trees add to it", percent(growing, commands), "", each + fmt.Sprintf("%.1f µs: leaf, nodes, and the row of SQLite in a transaction that is there anyway; not waited for by the command, but by an answer of the API", median(growing))},
		{"(j) both together", percent(all, commands), "≤ 10 %", "in turn, in the same run"},
	}, nil
}

// micros is how long one of a turn takes.
func micros(took time.Duration) float64 { return took.Seconds() * 1e6 / commandsAtOnce }

// percent is the median of ours over theirs, round by round.
func percent(ours, theirs []float64) string {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = 100 * ours[i] / theirs[i]
	}
	return fmt.Sprintf("%.1f %%", median(ratios))
}

// again is how often what takes microseconds is done in a turn, to be measured.
const again = 20

// commits executes commands and answers what was committed, in clear.
func (c *commandBench) commits(ctx context.Context) ([]domain.Commit, time.Duration, error) {
	_, took, err := c.execute(ctx)
	var commits []domain.Commit
	for _, outcome := range c.last {
		commits = append(commits, outcome.Commit)
	}
	return commits, took, err
}

// sealing is how much longer commits take to be encoded when they are sealed first.
func (c *commandBench) sealing(ctx context.Context, commits []domain.Commit) (time.Duration, error) {
	began := time.Now()
	for range again {
		for _, commit := range commits {
			sealed, err := c.vault.Sealed(ctx, commit)
			if err != nil {
				return 0, err
			}
			if _, err := eventstore.Encode(sealed); err != nil {
				return 0, err
			}
		}
	}
	with := time.Since(began)
	began = time.Now()
	for range again {
		for _, commit := range commits {
			commit.Agent = "" // no commit says it in clear
			if _, err := eventstore.Encode(commit); err != nil {
				return 0, err
			}
		}
	}
	return max(0, with-time.Since(began)) / again, nil
}

// forest are the trees of many organizations, and a table as that of the views.
type forest struct {
	db        *sql.DB
	frontiers [1000]eventstore.Frontier
	position  domain.Position
}

const (
	leafTable = `
CREATE TABLE leaves (organization TEXT NOT NULL, size BIGINT NOT NULL, position BIGINT NOT NULL, hash BYTEA NOT NULL, PRIMARY KEY (organization, size));
CREATE UNIQUE INDEX leaves_at ON leaves (organization, position)`
	insertLeaf = `INSERT INTO leaves (organization, size, position, hash) VALUES (?, ?, ?, ?)`
)

func plant(ctx context.Context, file string) (*forest, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)") // package projections brings the driver
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, leafTable); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &forest{db: db}, nil
}

// grow adds commits to trees, each to one of the many. The transaction itself is not
// counted: that of the views has the rows of the commit, too.
func (f *forest) grow(ctx context.Context, commits []domain.Commit) (time.Duration, error) {
	var data [][]byte
	for _, commit := range commits {
		commit.Agent = ""
		entry, err := eventstore.Encode(commit)
		if err != nil {
			return 0, err
		}
		data = append(data, entry.Data)
	}
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	began := time.Now()
	for range again {
		for i, d := range data {
			if err := f.add(ctx, tx, commits[i].Boundary, d); err != nil {
				return 0, err
			}
		}
	}
	took := time.Since(began) / again
	return took, tx.Commit()
}

func (f *forest) add(ctx context.Context, tx *sql.Tx, boundary domain.Boundary, data []byte) error {
	f.position++
	n := rand.IntN(len(f.frontiers))
	tree, leaf := &f.frontiers[n], eventstore.Leaf(f.position, boundary, data)
	tree.Add(leaf, func(int, int64, tlog.Hash) {})
	_, err := tx.ExecContext(ctx, insertLeaf, fmt.Sprintf("organization%04d", n), tree.Size, int64(f.position), leaf[:])
	return err
}
