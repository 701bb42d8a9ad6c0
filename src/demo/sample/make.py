#!/usr/bin/env python3
"""Makes the small sample that is shipped: clients.csv (300) and purchases.csv (1,200). Standard library only.

    cd src/demo/sample && python3 make.py

Everything is drawn from made-up distributions with a fixed seed; no row comes from anybody's data. The columns are those of
the real files that the demo also takes.
"""

import random

MONTHS = ["apr", "may", "jun", "jul", "aug", "sep"]  # as they pass
COLUMNS = (["client", "limit", "sex", "education", "marriage", "age"]
           + [f"repay_status_{m}" for m in reversed(MONTHS)]
           + [f"bill_{m}" for m in reversed(MONTHS)]
           + [f"paid_{m}" for m in reversed(MONTHS)]
           + ["defaulted"])


def client(number, rng):
    """Follows one card through six months."""
    limit = rng.choice([10, 20, 30, 50, 50, 80, 100, 150, 200, 200, 300, 500]) * 1000
    kind = rng.choices(["full", "revolving", "unused", "struggling"], [30, 42, 13, 15])[0]
    balance = {"full": 0.1, "revolving": 0.45, "unused": 0.0, "struggling": 0.75}[kind] * limit * rng.uniform(0.4, 1.2)
    late, status, bill, paid = 0, [], [], []
    for _ in MONTHS:
        billed = round(min(max(balance, 0), limit))
        if kind == "unused":
            pay, state = 0, -2
        elif kind == "full":
            pay, state = billed, -1
        elif kind == "revolving":
            pay, state = round(billed * rng.uniform(0.04, 0.3)), 0
        elif rng.random() < 0.45:
            late += 1
            pay, state = 0, min(late, 8)
        else:
            late = max(late - 1, 0)
            pay, state = round(billed * rng.uniform(0.03, 0.1)), late
        status.append(state)
        bill.append(billed)
        paid.append(pay)
        spend = {"full": 0.1, "revolving": 0.08, "unused": 0.0, "struggling": 0.04}[kind] * limit * rng.uniform(0.5, 1.5)
        balance = billed - pay + spend
    risk = {"full": 0.05, "revolving": 0.12, "unused": 0.1, "struggling": 0.45}[kind]
    row = [number, f"{limit}.0", rng.randint(1, 2), rng.choice([1, 2, 2, 3]), rng.choice([1, 2]), rng.randint(21, 64)]
    row += status[::-1]
    row += [f"{b}.0" for b in bill[::-1]]
    row += [f"{p}.0" for p in paid[::-1]]
    return row + [int(rng.random() < risk)]


def purchase(rng):
    """One payment: mostly small and at once, the larger the more periods."""
    amount = round(rng.lognormvariate(9.2, 0.9))
    amount = min(max(amount, 500), 1_500_000)
    choices = [1, 2, 3, 6] if amount < 10_000 else [1, 2, 3, 4, 5, 6, 8, 10] if amount < 60_000 else [3, 6, 9, 10, 12, 18, 24]
    return [f"{rng.getrandbits(64):016x}", 1, rng.choice(choices), amount]


def write(path, columns, rows):
    with open(path, "w", newline="\n") as file:
        file.write(",".join(columns) + "\n")
        for row in rows:
            file.write(",".join(map(str, row)) + "\n")


def main():
    rng = random.Random(20260105)
    write("clients.csv", COLUMNS, (client(number, rng) for number in range(1, 301)))
    write("purchases.csv", ["order", "sequence", "periods", "amount_fen"], (purchase(rng) for _ in range(1200)))


if __name__ == "__main__":
    main()
