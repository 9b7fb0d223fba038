"""One file a skill; each has `KINDS`: kind -> (weight, function of a Draw that makes a Sample)."""
