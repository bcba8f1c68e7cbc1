package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (r *remote) tokenBurnCommand() *cobra.Command {
	var secretFile string
	cmd := &cobra.Command{
		Use: "burn", Short: "End the token of a secret that was found, whosever it is",
		Long: `Ends the token of a secret that was found: whoever has it may. It takes no token of one's own, only the
address of the service. The secret is read from standard input, or from --secret-file; it is never an
argument.

The answer is the same whatever the secret is: whether it was good is told to nobody.`,
		Example: `  jeton token burn --url https://jeton.example.org < found.txt
  jeton token burn --url https://jeton.example.org --secret-file found.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Everywhere else this names the token that one works with: somebody who gives it
			// here out of habit would burn that one.
			if r.tokenFile != "" {
				return usage("no token is shown to burn another one\n  next: give the secret that is to end on standard input or in --secret-file, and leave --token-file out")
			}
			secret, err := r.program.readSecret(secretFile, "secret that is to end")
			if err != nil {
				return err
			}
			return r.burn(cmd.Context(), secret)
		},
	}
	cmd.Flags().StringVar(&secretFile, "secret-file", "-", `file with the secret that is to end; "-" is standard input`)
	return cmd
}

func (r *remote) burn(ctx context.Context, secret string) error {
	where, err := r.address()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.clientOf(where).do(ctx, "POST", "burn", map[string]string{"token": secret}, nil)
}
