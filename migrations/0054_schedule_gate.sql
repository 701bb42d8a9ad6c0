-- Never holds a row. Its lock keeps the cutting of statements and the writing of new schedule versions apart, while each of them
-- goes on beside its like: statements take it in share mode, changes in row exclusive mode.
create table schedule_gate (gate text primary key);
