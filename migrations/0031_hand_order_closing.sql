-- Only people close orders, and that one is closed stands on its code. When it was is shown nowhere.
alter table hand_order drop column closed_at;
