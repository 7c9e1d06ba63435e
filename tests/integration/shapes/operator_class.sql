-- Only a superuser makes an operator class, but its functions may be anybody's. A foreign key compares with them. An index holds a lock
-- while it compares, which an error that is caught takes away, so they only leave a mark.
create type c as (x int);
create function lt(c, c) returns bool language plpgsql immutable as $$ begin
  {mark} return ($1).x < ($2).x; end $$;
create function le(c, c) returns bool language plpgsql immutable as $$ begin
  {mark} return ($1).x <= ($2).x; end $$;
create function eq(c, c) returns bool language plpgsql immutable as $$ begin
  {mark} return ($1).x = ($2).x; end $$;
create function ge(c, c) returns bool language plpgsql immutable as $$ begin
  {mark} return ($1).x >= ($2).x; end $$;
create function gt(c, c) returns bool language plpgsql immutable as $$ begin
  {mark} return ($1).x > ($2).x; end $$;
create function cmp(c, c) returns int language plpgsql immutable as $$ begin
  {mark} return ($1).x - ($2).x; end $$;
create operator < (leftarg = c, rightarg = c, function = lt);
create operator <= (leftarg = c, rightarg = c, function = le);
create operator = (leftarg = c, rightarg = c, function = eq, commutator = =, merges);
create operator >= (leftarg = c, rightarg = c, function = ge);
create operator > (leftarg = c, rightarg = c, function = gt);
--@ superuser
create operator class own_ops default for type c using btree as
  operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 cmp(c, c);
--@ owner
create table p (v c primary key);
create table t (v c references p);
insert into p values (row(1)), (row(2)); insert into t values (row(1));
