const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/**
 * PostgreSQL's own functions, and those of extensions that come with it, that change something or take a transaction
 * id, as only a server out of recovery can ("Hot Standby", "User's Overview").
 */
export const WRITING_FUNCTIONS: ReadonlySet<string> = new Set(
  words(`
    nextval setval
    lo_create lo_creat lo_from_bytea lo_import lo_open lo_put lo_truncate lo_truncate64 lo_unlink lo_lseek lowrite
    txid_current pg_current_xact_id pg_export_snapshot
    pg_notify pg_logical_emit_message pg_import_system_collations pg_nextoid pg_extension_config_dump
    brin_summarize_new_values brin_summarize_range brin_desummarize_range gin_clean_pending_list
    pg_restore_relation_stats pg_restore_attribute_stats pg_clear_relation_stats pg_clear_attribute_stats
    pg_stat_reset pg_stat_reset_shared pg_stat_reset_single_table_counters pg_stat_reset_single_function_counters
    pg_stat_reset_slru pg_stat_reset_replication_slot pg_stat_reset_subscription_stats pg_stat_reset_backend_stats
    pg_stat_statements_reset pg_prewarm pg_truncate_visibility_map heap_force_kill heap_force_freeze
    pg_create_restore_point pg_switch_wal pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup
    pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_advance
    pg_replication_origin_session_setup pg_replication_origin_session_reset pg_replication_origin_xact_setup
    pg_replication_origin_xact_reset pg_create_logical_replication_slot pg_create_physical_replication_slot
    dblink dblink_exec dblink_open dblink_send_query`),
);
