-- A job does all that is due of its kind and needs to know no more: nothing was ever written here but {}.
alter table job drop column payload;
