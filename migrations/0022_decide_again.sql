-- Ends a statement that was decided on what is no longer so, with nothing written, as a conflict that is worth another try.
create function decide_again(reason text) returns bigint language plpgsql as $$
begin
    raise exception '%', reason using errcode = 'serialization_failure';
end $$;
