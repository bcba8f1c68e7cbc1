package main

import "github.com/spf13/cobra"

func (p *Program) auditCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{Use: "audit", Short: "Look back: what was, what has changed, and who did it"})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.auditAsOfCommand(), r.auditDiffCommand(), r.auditReplayCommand())
	return cmd
}
