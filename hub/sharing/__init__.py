"""Who else may see or use a desktop or session: members, requests, invitations, control, tickets, audit."""
