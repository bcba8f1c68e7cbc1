package main

import "github.com/spf13/cobra"

func (p *Program) auditCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{Use: "audit", Short: "Search, follow and export the audit log"})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.auditListCommand(), r.auditTailCommand(), r.auditExportCommand())
	return cmd
}
