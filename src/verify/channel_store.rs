//! What channels owe, order by order, as SQL. In sums by funder, the errors of two orders could cancel out.

/// What was booked for each order, less what its channel's compared files pay for it and what people settled by hand. What is booked
/// beyond that may still come, until the file of the day after the booking is compared: if the money is missing there, a break is
/// opened. An open break explains any difference, a dismissed one a difference up to the one it was opened for. Last, breaks over
/// orders that are not ours must name what the file names, since that is what goes back to the channel.
pub(super) const ORDERS: &str = "
    with booked as (
        select r.line_id, r.source_reference as order_id, sum(r.amount_fen + coalesce(b.amount_fen, 0))::bigint as fen,
               max(r.received_at) as last_at
        from repayment r
        left join repayment b on b.line_id = r.line_id and b.source = 'reversal' and b.source_reference = r.repayment_id::text
        where r.source in ('withholding', 'channel_file') group by r.line_id, r.source_reference),
    named as (
        select f.channel, f.business_day, f.withholding_id, sum(f.amount_fen)::bigint as fen
        from channel_file c join channel_file_line f on f.channel = c.channel and f.business_day = c.business_day
        where c.compared_at is not null and f.succeeded group by f.channel, f.business_day, f.withholding_id),
    standing as (
        select coalesce(w.withholding_id::text, b.order_id) as order_id, w.withholding_id, w.channel, b.last_at,
               coalesce(h.fen, 0) as by_hand_fen,
               coalesce(b.fen, 0) - coalesce(n.fen, 0) - coalesce(h.fen, 0) as open_fen
        from withholding w
        full join booked b on b.line_id = w.line_id and b.order_id = w.withholding_id::text
        left join (select channel, withholding_id, sum(fen)::bigint as fen from named group by channel, withholding_id) n
             on n.withholding_id = w.withholding_id and n.channel = w.channel
        left join (select channel, withholding_id, sum(settled_fen)::bigint as fen from reconciliation_break
                   where settled_fen <> 0 group by channel, withholding_id) h
             on h.withholding_id = w.withholding_id and h.channel = w.channel)
    select 'order ' || s.order_id as subject, 0 as expected, s.open_fen as found
    from standing s
    left join channel_file later on later.channel = s.channel
         and later.business_day = (s.last_at at time zone 'Asia/Shanghai')::date + 1
    where s.open_fen <> 0
      and (s.open_fen < 0 or s.withholding_id is null or later.compared_at > s.last_at)
      and not exists (
          select from reconciliation_break k
          where k.withholding_id = s.withholding_id and k.channel = s.channel
            and (k.status = 'open'
                 or k.status = 'dismissed'
                    and s.open_fen between least(0, k.our_fen - k.their_fen - greatest(s.by_hand_fen, 0))
                                       and greatest(0, k.our_fen - k.their_fen - least(s.by_hand_fen, 0))))
    union all
    select 'order ' || k.withholding_id || ' of nobody', coalesce(n.fen, 0), k.their_fen
    from reconciliation_break k
    left join withholding w on w.withholding_id = k.withholding_id and w.channel = k.channel
    left join named n on n.channel = k.channel and n.business_day = k.business_day and n.withholding_id = k.withholding_id
    where k.kind = 'missing_here' and w.withholding_id is null and k.their_fen <> coalesce(n.fen, 0)";
