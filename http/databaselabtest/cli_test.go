package databaselabtest

import (
	"context"
	"fmt"
	"io"
	nethttp "net/http"
	"reflect"
	"strings"
	"testing"

	"gitlab.com/postgres-ai/database-lab/v3/pkg/client/dblabapi"
	"gitlab.com/postgres-ai/database-lab/v3/pkg/client/dblabapi/types"
	"gitlab.com/postgres-ai/database-lab/v3/pkg/models"
)

// call is something that the client of the CLI does.
type call struct {
	sends string // requests, with commas between
	// open: the engine has no gate there. What the client shows does not arrive.
	open bool
	do   func(context.Context, *dblabapi.Client) (string, error)
	want string // what the client makes of the answer
}

// calls are all calls of the client, by its method.
var calls = map[string]call{
	"Health": {"GET /healthz", true, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		got, err := c.Health(ctx)
		return of(got, err, func(e *models.Engine) any { return e.Version })
	}, "v3.0.4"},
	"Status": {"GET /status", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		got, err := c.Status(ctx)
		return of(got, err, func(s *models.InstanceStatus) any { return s.Status.Message })
	}, "Instance is ready"},
	"StatusRaw": {"GET /status", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return begins(c.StatusRaw(ctx))
	}, `{"status"`},
	"Do": {"GET /status?by=hand", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		r, err := nethttp.NewRequest("GET", c.URL("/status").String()+"?by=hand", nil)
		if err != nil {
			return "", err
		}
		got, err := c.Do(ctx, r)
		if err != nil {
			return "", err
		}
		return begins(got.Body, nil)
	}, `{"status"`},
	"ListSnapshots": {"GET /snapshots", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		got, err := c.ListSnapshots(ctx)
		return of(got, err, func(all []*models.Snapshot) any { return len(all) })
	}, "2"},
	"ListSnapshotsRaw": {"GET /snapshots", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return begins(c.ListSnapshotsRaw(ctx))
	}, `[{"id":"s`},
	"ListClones": {"GET /status", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		got, err := c.ListClones(ctx)
		return of(got, err, func(all []*models.Clone) any { return all[0].ID })
	}, "c1"},
	"ListClonesRaw": {"GET /status", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return begins(c.ListClonesRaw(ctx))
	}, `{"status"`},
	"GetClone": {"GET /clone/got", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return clone(c.GetClone(ctx, "got"))
	}, "got OK"},
	"GetCloneRaw": {"GET /clone/raw", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return begins(c.GetCloneRaw(ctx, "raw"))
	}, `{"id":"ra`},
	"CreateClone": {"POST /clone,GET /clone/new", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return clone(c.CreateClone(ctx, types.CloneCreateRequest{ID: "new", DB: &types.DatabaseRequest{Username: "john", Password: "doe"}}))
	}, "new OK"},
	"CreateCloneAsync": {"POST /clone", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return clone(c.CreateCloneAsync(ctx, types.CloneCreateRequest{ID: "soon"}))
	}, "soon CREATING"},
	"UpdateClone": {"PATCH /clone/updated", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		got, err := c.UpdateClone(ctx, "updated", types.CloneUpdateRequest{Protected: true})
		return of(got, err, func(c *models.Clone) any { return c.Protected })
	}, "true"},
	"ResetClone": {"POST /clone/reset/reset,GET /clone/reset", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return "", c.ResetClone(ctx, "reset", types.ResetCloneRequest{Latest: true})
	}, ""},
	"ResetCloneAsync": {"POST /clone/later/reset", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return "", c.ResetCloneAsync(ctx, "later", types.ResetCloneRequest{SnapshotID: "s1"})
	}, ""},
	"DestroyClone": {"DELETE /clone/destroyed,GET /clone/destroyed", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return "", c.DestroyClone(ctx, "destroyed")
	}, ""},
	"DestroyCloneAsync": {"DELETE /clone/later", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		return "", c.DestroyCloneAsync(ctx, "later")
	}, ""},
	"StartObservation": {"POST /observation/start", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		got, err := c.StartObservation(ctx, types.StartObservationRequest{CloneID: "c1", DBName: "test", Tags: map[string]string{"branch": "main"}})
		return fmt.Sprint(got.SessionID, got.Tags), err
	}, "7 map[clone:c1]"},
	"StopObservation": {"POST /observation/stop", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		got, err := c.StopObservation(ctx, types.StopObservationRequest{CloneID: "c1"})
		return fmt.Sprint(got.SessionID, got.Tags), err
	}, "7 map[clone:c1]"},
	"SummaryObservation": {"GET /observation/summary/c1/7", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		got, err := c.SummaryObservation(ctx, "c1", "7")
		if err != nil {
			return "", err
		}
		return got.CloneID, nil
	}, "c1"},
	"DownloadArtifact": {"GET /observation/download?artifact_type=log_errors&clone_id=c1&session_id=7", false, func(ctx context.Context, c *dblabapi.Client) (string, error) {
		body, err := c.DownloadArtifact(ctx, "c1", "7", "log_errors")
		if err != nil {
			return "", err
		}
		defer body.Close()
		n, err := io.Copy(io.Discard, body)
		return fmt.Sprint(n), err
	}, fmt.Sprint(artifactSize)},
	"Estimate": {"GET /estimate?clone_id=c1&pid=42", true, estimate, "1000"},
}

// of is what matters of an answer, if there is one.
func of[T any](got T, err error, what func(T) any) (string, error) {
	if err != nil {
		return "", err
	}
	return fmt.Sprint(what(got)), nil
}

func clone(got *models.Clone, err error) (string, error) {
	return of(got, err, func(c *models.Clone) any { return c.ID + " " + string(c.Status.Code) })
}

// begins is how an answer begins that the client does not read.
func begins(body io.ReadCloser, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text[:min(9, len(text))]), err
}

// estimate holds a conversation over a WebSocket. The client shows no token there.
func estimate(ctx context.Context, c *dblabapi.Client) (string, error) {
	conn, err := c.Estimate(ctx, "c1", "42")
	if err != nil {
		return "", err
	}
	select {
	case <-conn.Wait():
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := conn.SetReadBlocks(1000); err != nil {
		return "", err
	}
	result := make(chan string, 1)
	go func() { result <- fmt.Sprint(conn.ReadResult().SampleCounter) }()
	select {
	case got := <-result:
		return got, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// No call of the client is left out.
func TestCallsOfTheCLI(t *testing.T) {
	client := reflect.TypeFor[*dblabapi.Client]()
	var all []string
	for method := range client.Methods() {
		if all = append(all, method.Name); calls[method.Name].do == nil && method.Name != "URL" {
			t.Errorf("%s is not called", method.Name)
		}
	}
	if len(all) != len(calls)+1 { // URL asks nobody
		t.Errorf("the client has %s, and %d are called", strings.Join(all, " "), len(calls))
	}
}
