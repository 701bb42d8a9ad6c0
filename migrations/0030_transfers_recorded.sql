-- Who recorded a transfer; null where that was not kept. Of those from before, it stands in the journal of the lines that they changed.
alter table transfer_by_bank_reference add column recorded_by text;
update transfer_by_bank_reference t set recorded_by = e.reason
from line_entry e where e.line_id = t.line_id and e.kind = 'repayment' and e.source_id = t.repayment_id;
