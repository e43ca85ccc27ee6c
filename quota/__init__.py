"""How much? Allocations, holds and charges of persons and proposals, as an append-only ledger."""
