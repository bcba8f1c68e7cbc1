package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// webhook is a webhook as the service shows it.
type webhook struct {
	ID                  uint64            `json:"id"`
	Name                string            `json:"name"`
	URL                 string            `json:"url"`
	Shape               string            `json:"shape"`
	Events              []string          `json:"events"`
	Headers             map[string]string `json:"headers"`
	Enabled             bool              `json:"enabled"`
	PreviousSecretUntil time.Time         `json:"previous_secret_until"`
	CreatedAt           time.Time         `json:"created_at"`
	Delivery            struct {
		Position        uint64    `json:"position"`
		LastDeliveredAt time.Time `json:"last_delivered_at"`
		WaitingSince    time.Time `json:"waiting_since"`
		NextAttemptAt   time.Time `json:"next_attempt_at"`
		LastError       string    `json:"last_error"`
		DeadLetters     int       `json:"dead_letters"`
	} `json:"delivery"`
	Secret string `json:"secret"`
}

var webhookShape = shape[webhook]{
	cells: func(w webhook) []cell {
		headers := []string{}
		for name := range w.Headers {
			headers = append(headers, name)
		}
		slices.Sort(headers)
		return []cell{
			{"id", strconv.FormatUint(w.ID, 10), false}, {"name", w.Name, false}, {"url", w.URL, false}, {"shape", w.Shape, false},
			{"events", strings.Join(w.Events, " "), true}, {"headers", strings.Join(headers, " "), true},
			{"off", yes(!w.Enabled && w.ID != 0), false}, {"waiting since", moment(w.Delivery.WaitingSince, ""), false},
			{"last error", w.Delivery.LastError, false}, {"dead letters", strconv.Itoa(w.Delivery.DeadLetters), false},
			{"next attempt", moment(w.Delivery.NextAttemptAt, ""), true}, {"last delivered", moment(w.Delivery.LastDeliveredAt, ""), true},
			{"delivered up to", strconv.FormatUint(w.Delivery.Position, 10), true}, {"created", moment(w.CreatedAt, ""), true},
			{"old secret until", moment(w.PreviousSecretUntil, ""), true}, {"secret", w.Secret, true},
		}
	},
	name: func(w webhook) string {
		if w.Secret != "" {
			return w.Secret
		}
		return strconv.FormatUint(w.ID, 10)
	},
}

// deadLetter is an event that a webhook has given up.
type deadLetter struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	TriedAt   time.Time `json:"tried_at"`
	DiedAt    time.Time `json:"died_at"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error"`
	Replaying time.Time `json:"replaying_since"`
}

var deadLetterShape = shape[deadLetter]{
	cells: func(l deadLetter) []cell {
		return []cell{
			{"id", l.ID, false}, {"kind", l.Kind, false}, {"tried", moment(l.TriedAt, ""), false}, {"given up", moment(l.DiedAt, ""), false},
			{"attempts", strconv.Itoa(l.Attempts), false}, {"last error", l.LastError, false}, {"being sent again", yes(!l.Replaying.IsZero()), false},
		}
	},
	name: func(l deadLetter) string { return l.ID },
}

func (p *Program) webhookCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "webhook", Short: "Have events sent to an address; see and repeat what could not be delivered",
		Long: `Lists, shows, makes, changes, tests and deletes webhooks: addresses to which the events of an organization
are sent as they happen, signed by Standard Webhooks, in order, at least once. What a receiver does not
take is sent again for a day, and is a dead letter then, which can be sent again by hand.

A receiver is reached by https on the public internet, and elsewhere only if the operator allows it
(see webhook-networks in jeton serve --help). WEBHOOK is a webhook's number or name.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.webhookListCommand(), r.webhookShowCommand(), r.webhookCreateCommand(), r.webhookUpdateCommand(), r.webhookDeleteCommand(),
		r.webhookReplaceSecretCommand(), r.webhookTestCommand(), r.webhookDeadLettersCommand(), r.webhookReplayCommand())
	return cmd
}

func (r *remote) webhookListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List webhooks", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.all(ctx, org+"/webhooks")
				if err != nil {
					return err
				}
				return webhookShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
}

func (r *remote) webhookShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show WEBHOOK", Short: "Show a webhook and how far it is", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onWebhook(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeWebhook(ctx, c, "GET", path, nil)
			})
		},
	}
}

const webhookHeadersUsage = "JSON file with an object of headers for each request, which may hold credentials; they are kept sealed and never shown again"

func (r *remote) webhookCreateCommand() *cobra.Command {
	var wanted struct {
		Name    string            `json:"name"`
		URL     string            `json:"url"`
		Shape   string            `json:"shape,omitempty"`
		Events  []string          `json:"events,omitempty"`
		Headers map[string]string `json:"headers,omitempty"`
		Enabled bool              `json:"enabled"`
	}
	var disabled bool
	var headersFile string
	cmd := &cobra.Command{
		Use: "create NAME URL", Short: "Have events sent to an address; the secret that signs them is shown this once",
		Long: `Has events sent to an address from now on. The secret by which the receiver can tell that they come from
here is shown this once; -o name prints that alone.

Without --event all events are sent. --shape siem sends as the audit settings of Database Lab do: then
events are orgs, users_orgs, api_tokens, dblab_instances, joe_instances, joe_messages, chats.`,
		Example: `  jeton webhook create alerts https://hooks.example.org/jeton --event "token.*" --event member.removed
  jeton webhook create siem https://siem.example.org/collector --shape siem --event api_tokens --headers-file headers.json
  SECRET=$(jeton webhook create all https://hooks.example.org/jeton -o name)`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			wanted.Name, wanted.URL, wanted.Enabled = args[0], args[1], !disabled
			if wanted.Headers, err = readHeaders(headersFile); err != nil {
				return err
			}
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				return r.changeWebhook(ctx, c, "POST", org+"/webhooks", wanted)
			})
		},
	}
	wanted.Shape = "standard"
	cmd.Flags().Var(several{&wanted.Events, "EVENT"}, "event", "a kind of event like token.issued, or token.* for all about tokens; can be given several times (default: all)")
	cmd.Flags().Var(choice(&wanted.Shape, "standard", "siem"), "shape", "how events are written: standard (CloudEvents, Standard Webhooks) or siem (Database Lab)")
	cmd.Flags().StringVar(&headersFile, "headers-file", "", webhookHeadersUsage)
	cmd.Flags().BoolVar(&disabled, "disabled", false, "send nothing until it is enabled")
	return cmd
}

// readHeaders reads headers from a file; no file: none.
func readHeaders(file string) (headers map[string]string, err error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(data, &headers) != nil { // the error could show a credential
		return nil, usage("%s is no object of headers\n  next: write it like {\"Authorization\": \"Bearer …\"}", file)
	}
	return headers, nil
}

func (r *remote) webhookUpdateCommand() *cobra.Command {
	var change struct {
		Name    *string            `json:"name,omitempty"`
		URL     *string            `json:"url,omitempty"`
		Events  *[]string          `json:"events,omitempty"`
		Headers *map[string]string `json:"headers,omitempty"`
		Enabled *bool              `json:"enabled,omitempty"`
	}
	var name, to, headersFile string
	var events []string
	var enabled bool
	cmd := &cobra.Command{
		Use: "update WEBHOOK", Short: "Change a webhook, switch it off or on again", Args: cobra.ExactArgs(1),
		Long: `Changes a webhook. One that is switched off keeps its place: when it is enabled again it goes on there.
With another host, headers have to be given again.`,
		Example: `  jeton webhook update alerts --enabled=false
  jeton webhook update alerts --receiver https://hooks.example.org/v2 --event "token.*"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := changes(cmd); err != nil {
				return err
			}
			change.Name, change.URL, change.Enabled = changed(cmd, "name", name), changed(cmd, "receiver", to), changed(cmd, "enabled", enabled)
			change.Events = changed(cmd, "event", listed(events))
			if cmd.Flags().Changed("headers-file") {
				headers, err := readHeaders(headersFile)
				if err != nil {
					return err
				}
				if headers == nil {
					headers = map[string]string{}
				}
				change.Headers = &headers
			}
			return r.onWebhook(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeWebhook(ctx, c, "PATCH", path, change)
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what it is called from now on")
	cmd.Flags().StringVar(&to, "receiver", "", "where events are sent from now on")
	cmd.Flags().Var(several{&events, "EVENT"}, "event", "what is sent from now on, all of it; can be given several times; none: all events")
	cmd.Flags().StringVar(&headersFile, "headers-file", "", webhookHeadersUsage+"; empty: none any more")
	cmd.Flags().BoolVar(&enabled, "enabled", true, "whether it sends")
	return cmd
}

func (r *remote) webhookDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete WEBHOOK", Short: "Delete a webhook with what it has not delivered", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onWebhook(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return c.do(ctx, "DELETE", path, nil, nil)
			})
		},
	}
}

func (r *remote) webhookReplaceSecretCommand() *cobra.Command {
	var atOnce bool
	cmd := &cobra.Command{
		Use: "replace-secret WEBHOOK", Short: "Give a webhook another secret, which is shown this once", Args: cobra.ExactArgs(1),
		Long: `Gives a webhook another secret, which is shown this once; -o name prints that alone. For a day the secret
before signs, too, so that the receiver can be given the new one meanwhile; not so with --at-once.`,
		Example: `  jeton webhook replace-secret alerts
  jeton webhook replace-secret alerts --at-once`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onWebhook(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeWebhook(ctx, c, "POST", path+"/secret", map[string]bool{"at_once": atOnce})
			})
		},
	}
	cmd.Flags().BoolVar(&atOnce, "at-once", false, "the secret before signs no more, because somebody has it who should not")
	return cmd
}

func (r *remote) webhookTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test WEBHOOK", Short: "Send a test now and say what the receiver answers", Args: cobra.ExactArgs(1),
		Long: `Sends a signed event of the kind webhook.ping now, also while the webhook is switched off. It ends with 0
if the receiver takes it, else with 1.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onWebhook(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				var tested struct {
					Delivered bool   `json:"delivered"`
					Status    int    `json:"status"`
					Error     string `json:"error"`
				}
				if err := c.do(ctx, "POST", path+"/test", nil, &tested); err != nil {
					return err
				}
				if !tested.Delivered {
					return fmt.Errorf("the receiver has not taken the test: %s", tested.Error)
				}
				_, err := fmt.Fprintf(r.program.Stdout, "the receiver has taken the test: %d\n", tested.Status)
				return err
			})
		},
	}
}

func (r *remote) webhookDeadLettersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "dead-letters WEBHOOK", Short: "List what a webhook has given up to deliver, the oldest first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onWebhook(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				all, err := c.all(ctx, path+"/dead-letters")
				if err != nil {
					return err
				}
				return deadLetterShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
}

func (r *remote) webhookReplayCommand() *cobra.Command {
	return &cobra.Command{
		Use: "replay WEBHOOK [LETTER...]", Short: "Have dead letters sent again, those that are named or all", Args: cobra.MinimumNArgs(1),
		Example: `  jeton webhook replay alerts
  jeton webhook replay alerts 120.0 133.1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onWebhook(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				var replayed struct {
					Letters int `json:"letters"`
				}
				if err := c.do(ctx, "POST", path+"/dead-letters/replay", map[string][]string{"letters": args[1:]}, &replayed); err != nil {
					return err
				}
				_, err := fmt.Fprintf(r.program.Stdout, "%d are sent again\n", replayed.Letters)
				return err
			})
		},
	}
}

// onWebhook runs do with the path of the webhook that has a number or a name.
func (r *remote) onWebhook(ctx context.Context, name string, do func(context.Context, *client, string) error) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		raw, err := c.all(ctx, org+"/webhooks")
		if err != nil {
			return err
		}
		all, err := decodeAll[webhook](raw)
		if err != nil {
			return err
		}
		for _, w := range all {
			if id := strconv.FormatUint(w.ID, 10); id == name || w.Name == name {
				return do(ctx, c, org+"/webhooks/"+url.PathEscape(id))
			}
		}
		return coded{fmt.Errorf("there is no webhook %q\n  next: look at jeton webhook list", name), exitNotFound}
	})
}

func (r *remote) changeWebhook(ctx context.Context, c *client, method, path string, body any) error {
	var now json.RawMessage
	if err := c.do(ctx, method, path, body, &now); err != nil {
		return err
	}
	return webhookShape.one(r.program.Stdout, r.output, now)
}
