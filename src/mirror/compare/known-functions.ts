const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** Functions whose values each server makes for itself (pg_proc.dat, provolatile v or s, and extensions for UUIDs). */
export const VOLATILE_FUNCTIONS: ReadonlySet<string> = new Set(
  words(`
    now clock_timestamp statement_timestamp transaction_timestamp timeofday age
    random random_normal setseed gen_random_uuid gen_random_bytes uuidv4 uuidv7 uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4
    nextval currval lastval setval
    txid_current txid_current_if_assigned txid_current_snapshot txid_snapshot_xmin txid_snapshot_xmax txid_status
    pg_current_xact_id pg_current_xact_id_if_assigned pg_current_snapshot pg_xact_commit_timestamp pg_last_committed_xact
    pg_backend_pid pg_postmaster_start_time pg_conf_load_time pg_current_wal_lsn pg_current_wal_insert_lsn pg_current_wal_flush_lsn
    inet_server_addr inet_server_port inet_client_addr inet_client_port version pg_is_in_recovery pg_blocking_pids
    pg_relation_size pg_total_relation_size pg_table_size pg_indexes_size pg_database_size pg_size_pretty pg_relation_filepath
    current_setting pg_listening_channels pg_notification_queue_usage pg_export_snapshot pg_stat_get_activity pg_lock_status pg_my_temp_schema`),
);

/** Functions that answer the same on the same arguments, and touch no relation. */
export const KNOWN_FUNCTIONS: ReadonlySet<string> = new Set(
  words(`
    abs array_agg array_append array_cat array_length array_position array_remove array_to_json array_to_string ascii avg
    bit_and bit_or bool_and bool_or bool btrim bytea cardinality ceil ceiling char_length character_length chr coalesce concat concat_ws
    convert_from convert_to corr count cume_dist date date_part date_trunc decode dense_rank div encode every exp extract
    first_value float8 floor format generate_series generate_subscripts greatest hashtext host initcap int4 int8 isfinite
    json_agg json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
    json_each_text json_extract_path json_extract_path_text json_object_agg json_object_keys json_typeof jsonb_agg
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_set jsonb_typeof
    justify_days justify_hours justify_interval lag last_value lead least left length ln log lower lpad ltrim make_date
    make_interval make_time make_timestamp make_timestamptz max md5 min mod mode nth_value ntile nullif num_nonnulls num_nulls
    numeric octet_length overlay percent_rank percentile_cont percentile_disc pg_sleep plainto_tsquery position power quote_ident
    quote_literal quote_nullable rank regexp_count regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy covar_pop
    covar_samp repeat replace reverse right round row_number row_to_json rpad rtrim sha224 sha256 sha384
    sha512 sign similarity split_part sqrt starts_with stddev stddev_pop stddev_samp string_agg string_to_array strpos substr substring
    sum text timestamp timestamptz to_char to_date to_hex to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector translate trim
    trunc ts_rank tstzrange unnest upper var_pop var_samp variance websearch_to_tsquery width_bucket xmlagg
    pg_advisory_lock pg_advisory_unlock pg_advisory_xact_lock pg_advisory_lock_shared pg_advisory_xact_lock_shared
    pg_try_advisory_lock pg_try_advisory_xact_lock pg_advisory_unlock_all set_config`),
);

/** Aggregates whose value depends on the order in which rows come. */
export const ORDERED_FUNCTIONS: ReadonlySet<string> = new Set(
  words('array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg xmlagg mode'),
);

/** Aggregates that add up, and so do not always say the same of the same floats. */
export const ACCUMULATING_FUNCTIONS: ReadonlySet<string> = new Set(
  words(`
    sum avg stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp
    regr_avgx regr_avgy regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy`),
);
