//! What was billed, as SQL, compared with the rows of the schedules: each row is billed as it is, and none is left out.

/// Bill lines of statements and payoffs that differ from the current row of the schedule; rows without a line, although their statement
/// was cut or nothing more will be billed for their loan; and lines without a loan. A payoff that was quoted before a statement was cut
/// removes charges of that statement's row from the schedule; the line has them as waived, which is no difference.
pub(super) const BILLED: &str = "
    select i.line_id || ' loan ' || i.loan_id || ' period ' || i.period || ' ' || part.name as subject,
           coalesce(part.asked, 0) as expected, part.billed as found
    from bill_line i
    join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
    join schedule s on s.line_id = l.line_id and s.loan_id = l.loan_id and s.version = l.schedule_version
    cross join lateral (values ('due day', 1, (i.due_on is not distinct from s.due_on[i.period])::int::bigint, 0),
                               ('principal', s.principal_fen[i.period], i.principal_fen, 0),
                               ('interest', s.interest_fen[i.period], i.interest_fen, i.interest_returned_fen),
                               ('fee', s.fee_fen[i.period], i.fee_fen, i.fee_returned_fen)) as part(name, asked, billed, returned)
    where (i.due_on, i.principal_fen, i.interest_fen, i.fee_fen)
          is distinct from (s.due_on[i.period], s.principal_fen[i.period], s.interest_fen[i.period], s.fee_fen[i.period])
      and part.asked is distinct from part.billed
      and not (part.name in ('interest', 'fee') and i.origin = 'statement'
               and part.asked between part.billed - part.returned and part.billed
               and exists (select from schedule p where p.line_id = l.line_id and p.loan_id = l.loan_id and p.reason = 'payoff'))
    union all
    -- When a row's statement is cut is reckoned last: of the few that have no line.
    select due.line_id || ' loan ' || due.loan_id || ' period ' || due.period || ' not billed', due.asked, 0
    from (select l.line_id, l.loan_id, l.status, l.first_statement_on, l.statement_day, k as period,
                 s.principal_fen[k] + s.interest_fen[k] + s.fee_fen[k] as asked
          from (select max(business_day) as day from close_run where finished_at is not null) closed
          cross join loan l
          join schedule s on s.line_id = l.line_id and s.loan_id = l.loan_id and s.version = l.schedule_version
          cross join lateral generate_series(1, case l.status
              when 'open' then least(l.periods::int, ((extract(year from closed.day) - extract(year from l.first_statement_on)) * 12
                                                      + extract(month from closed.day) - extract(month from l.first_statement_on))::int + 1)
              else l.periods::int end) as k
          where l.status <> 'voided'
            and not exists (select from bill_line i where i.line_id = l.line_id and i.loan_id = l.loan_id and i.period = k)
          offset 0) due
    where due.asked > 0
      and (due.status <> 'open'
           or least((date_trunc('month', due.first_statement_on::timestamp)
                         + make_interval(months => due.period - 1, days => due.statement_day - 1))::date,
                    (date_trunc('month', due.first_statement_on::timestamp) + make_interval(months => due.period))::date - 1)
              in (select business_day from close_run where finished_at is not null))
    union all
    select i.line_id || ' loan ' || i.loan_id || ' period ' || i.period || ' of no loan', 0, i.principal_fen + i.interest_fen + i.fee_fen
    from bill_line i left join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
    where l.loan_id is null";

/// Compared both ways: a line without a bill is asked of nobody.
pub(super) const SUMMED: &str = "
    select coalesce(b.line_id, i.line_id) || ' due ' || coalesce(b.due_on, i.due_on) as subject,
           coalesce(b.principal_fen + b.interest_fen + b.fee_fen, 0) as expected,
           coalesce(i.principal_fen + i.interest_fen + i.fee_fen, 0) as found
    from bill b
    full join (select line_id, due_on, sum(principal_fen)::bigint as principal_fen, sum(interest_fen)::bigint as interest_fen,
                      sum(fee_fen)::bigint as fee_fen
               from bill_line where origin = 'statement' group by line_id, due_on) i on i.line_id = b.line_id and i.due_on = b.due_on
    where coalesce(b.principal_fen, 0) <> coalesce(i.principal_fen, 0) or coalesce(b.interest_fen, 0) <> coalesce(i.interest_fen, 0)
       or coalesce(b.fee_fen, 0) <> coalesce(i.fee_fen, 0)";
